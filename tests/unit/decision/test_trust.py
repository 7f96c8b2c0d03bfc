"""Whether to rely on the cells of an image."""

import pytest
from pydantic import ValidationError

from organscope.decision.trust import AdditiveEstimate, TrustRule

_FIGURES = {"mean_probability": 0.8, "size": 0.0}


def _rule(**changes):
    values = {
        "features": ("mean_probability", "size"),
        "knots": ((0.2, 0.7, 1.0), (-2.0, 0.0, 2.0)),
        "quality": AdditiveEstimate(intercept=0.5, heights=((-0.4, 0.0, 0.3), (-0.1, 0.0, -0.1))),
        "missed": AdditiveEstimate(intercept=0.3, heights=((0.5, 0.0, -0.3), (0.1, 0.0, 0.1))),
        "false": AdditiveEstimate(intercept=0.2, heights=((0.5, 0.0, -0.3), (0.0, 0.0, 0.0))),
        "ok_from": 0.5,
        "check_from": 0.3,
    }
    return TrustRule(**values | changes)


def test_an_image_like_those_it_knows_is_ok():
    trust = _rule().judge(_FIGURES)
    assert (trust.level, trust.reasons, trust.sentence) == ("ok", (), "")
    assert trust.quality == pytest.approx(0.6)
    assert trust.missed == pytest.approx(0.2)
    assert trust.false == pytest.approx(0.1)


def test_the_strongest_reason_is_named_first():
    trust = _rule().judge({"mean_probability": 0.65, "size": 2.0})
    assert trust.level == "check"
    assert [reason.split()[1] for reason in trust.reasons] == ["cells", "network"]
    assert "larger" in trust.reasons[0]
    assert trust.sentence.startswith("Look at the outlines before you rely on these cells: about 45% of the true cells")


def test_values_beyond_those_seen_count_as_the_last_seen():
    rule = _rule()
    assert rule.judge({"mean_probability": -9.0, "size": 0.0}) == rule.judge({"mean_probability": 0.2, "size": 0.0})
    assert rule.judge({"mean_probability": -9.0, "size": 0.0}).level == "do not rely"


def test_an_image_of_hardly_any_cells_is_to_be_checked():
    trust = _rule().judge(None)
    assert (trust.level, trust.quality) == ("check", None)
    assert trust.row()["cells_missed"] is None
    assert "fewer than four cells" in trust.sentence


def test_estimates_stay_shares():
    steep = AdditiveEstimate(intercept=0.5, heights=((-9.0, 9.0),))
    assert steep.apply(((0.0, 1.0),), [1.0]) == 1.0
    assert steep.apply(((0.0, 1.0),), [0.0]) == 0.0


@pytest.mark.parametrize(
    "changes",
    [
        {"knots": ((0.2, 0.7, 1.0),)},
        {"knots": ((0.2, 0.2, 1.0), (-2.0, 0.0, 2.0))},
        {"check_from": 0.9},
        {"features": ("size",)},
    ],
)
def test_a_rule_that_does_not_fit_together_is_refused(changes):
    with pytest.raises(ValidationError):
        _rule(**changes)
