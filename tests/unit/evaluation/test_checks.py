"""Tables of a classification: by organ, altered copies, leaks, species."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PillowImage

from organscope.evaluation import evaluate_bundle, write_evaluation
from organscope.evaluation.classification import species_table
from organscope.evaluation.robustness import COPIES, leak_table
from organscope.reporting.evaluation_report import shown, write_evaluation_page


@pytest.fixture(scope="module")
def answers(organs, organ_index):
    return evaluate_bundle(organs, organ_index, fold=1, checks=True, baseline=False)


def test_each_organ_has_scores_with_intervals(answers):
    table = answers.tables["per_class"].set_index("organ")
    # Of six images of each organ the first has the next organ's color.
    assert table["recall"].to_numpy() == pytest.approx(5 / 6)
    assert table["precision"].to_numpy() == pytest.approx(5 / 6)
    for metric in ("recall", "precision", "f1", "auc"):
        assert (table[f"{metric}_low"] <= table[metric] + 1e-12).all()
        assert (table[metric] <= table[f"{metric}_high"] + 1e-12).all()


def test_curves_and_contract_are_there(answers):
    assert answers.tables["risk_coverage"]["coverage"].iloc[-1] == 1.0
    assert set(answers.tables["net_benefit"]["organ"]) == set(answers.tables["confusion"]["organ"])
    contract = answers.tables["contract"]
    assert (contract["n_positive"] == 6).all()
    assert (contract["promised_recall"] == 0.68).all()


def test_sets_are_scored(answers):
    images = answers.per_image
    pairs = zip(images["organ"], images["prediction_set"], strict=True)
    assert images["in_set"].tolist() == [organ in names for organ, names in pairs]
    assert answers.score("set_size") == images["set_size"].mean()


def test_copies_are_scored_beside_the_images(answers):
    table = answers.tables["copies"].set_index("copy")
    assert len(table) == 1 + len(COPIES)
    # The tiny bundle sees nothing but color.
    assert table.loc["as it is", "accuracy"] == pytest.approx(5 / 6)
    assert table.loc["gray, contrast stretched", "accuracy"] < 0.5
    assert table.loc["blank", "accepted"] == 0
    assert len(answers.tables["copies_per_image"]) == len(COPIES) * len(answers.per_image)


def test_groups_on_both_sides_are_leaks(answers, organ_index):
    # Groups are numbers modulo 4, folds modulo 2: no group lies on both sides.
    assert "leaks" not in answers.tables
    mixed = dataclasses.replace(organ_index, table=organ_index.table.assign(group="one slide"))
    found = leak_table(mixed, answers.per_image["id"])
    groups = found[found["kind"] == "shared group"]
    assert groups[["other", "n_images"]].to_numpy().tolist() == [["one slide", 18]]


def test_twins_are_leaks(tmp_path, colon, index_of):
    rows = []
    for number, image in enumerate((colon[:128, :128], colon[128:256, :128], colon[:128, 128:256])):
        PillowImage.fromarray(image).save(tmp_path / f"{number}.png")
        rows.append({"id": f"{number}", "image": str(tmp_path / f"{number}.png"), "organ": "colon"})
    # A brightened, mirrored copy of the first.
    PillowImage.fromarray((colon[:128, :128] * 0.9).astype(np.uint8)[:, ::-1]).save(tmp_path / "3.png")
    rows.append({"id": "3", "image": str(tmp_path / "3.png"), "organ": "colon", "fold": 2})
    found = leak_table(index_of(tmp_path, rows), ["3"])
    assert found[["kind", "id", "other"]].to_numpy().tolist() == [["near duplicate", "3", "0"]]


def test_species_by_hand():
    answers = {"liver": (0.6, 0.1, 0.3), "kidney": (0.2, 0.5, 0.3)}
    rows = [
        ("human", "liver", "liver", "accept"), ("human", "kidney", "kidney", "accept"),
        ("mouse", "liver", "kidney", "accept"), ("mouse", "kidney", "kidney", "accept"),
        ("mouse", "kidney", "kidney", "abstain"), ("mouse", "femur", "liver", "accept"),
    ]  # fmt: skip
    table = pd.DataFrame(
        [
            {
                "species": species,
                "organ": organ,
                "predicted": predicted,
                "decision": decision,
                **dict(zip(("p_liver", "p_kidney", "p_femur"), answers[predicted], strict=True)),
            }
            for species, organ, predicted, decision in rows
        ]
    )
    found = species_table(table, ["femur", "kidney", "liver"]).set_index("species")
    assert found["organs"].tolist() == ["kidney; liver"] * 2
    assert found["n_images"].tolist() == [2, 3]
    assert found["balanced_accuracy"].tolist() == [1.0, 0.5]
    assert found["wrong_among_accepted"].tolist() == [0.0, 0.5]
    assert found["accepted"].tolist() == pytest.approx([1.0, 2 / 3])
    assert species_table(table[table["species"] == "mouse"], ["kidney", "liver"]).empty


def test_page_shows_scores_figures_and_tables(answers, tmp_path):
    answers = dataclasses.replace(answers, notes=("<script>alert(1)</script>",))
    page = write_evaluation_page(answers, tmp_path).read_text()
    for words in ("Risk and coverage", "Net benefit", "Confusion", "Reliability", "Altered copies", "red organ"):
        assert words in page
    assert "<script>" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    files = {path.name for path in write_evaluation(answers, tmp_path)}
    assert {"risk_coverage.csv", "net_benefit.csv", "copies.csv", "copies_per_image.parquet", "contract.csv"} <= files


def test_page_of_a_segmentation(nuclei, cell_index, tmp_path):
    page = write_evaluation_page(evaluate_bundle(nuclei, cell_index), tmp_path).read_text()
    assert "By organ" in page


def test_values_of_tables():
    assert [shown(value) for value in (3, 0.12345, "a", float("nan"), True)] == ["3", "0.123", "a", "–", "True"]
