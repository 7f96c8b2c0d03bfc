"""The model card says what was measured, or that nothing was."""

from organscope.models import Score
from organscope.training.bundling import render_card
from organscope.training.config import BundleSettings

SETTINGS = BundleSettings(name="cells", summary="Finds cells.", data_statement="Ours.", limits="None else.")


def test_scores_stand_with_their_interval():
    score = Score(dataset="set", subset="fold 1", n_images=9, metric="dice", value=0.81234, low=0.7, high=0.9)
    card = render_card(SETTINGS, [score], ["A small network."])
    assert "| set, fold 1 | 9 | dice | 0.812 | 0.700 to 0.900 |" in card
    assert "- A small network." in card
    assert "not a medical device" in card


def test_without_test_images_the_card_says_so():
    assert "Not measured" in render_card(SETTINGS, [], [])
