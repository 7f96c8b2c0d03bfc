"""Models side by side on the same images."""

import numpy as np
import pandas as pd
import pytest

import tiny_bundles
from organscope.errors import UsageError
from organscope.evaluation import classification
from organscope.evaluation import comparison as tests
from organscope.evaluation.compare_models import compare_models, n_operations, n_parameters, write_comparison
from organscope.evaluation.comparison import MEASURES, Model, find_models, seen_images
from organscope.evaluation.statistics import mcnemar
from organscope.models import load_bundle
from organscope.ops.instances import Decoder


@pytest.fixture(scope="module", autouse=True)
def _few_resamples():
    """Enough to see that all is in place, and quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tests, "_N_RESAMPLES_OF_CLASSES", 200)
        patch.setattr(classification, "N_RESAMPLES", 100)
        yield


@pytest.fixture(scope="module")
def strict_nuclei(tmp_path_factory):
    """Like the tiny bundle of cells, but only the darkest pixels count."""
    decoder = Decoder(head="distance", foreground_threshold=0.97)
    spec = tiny_bundles.SegmentationSpec(stride_px=4, halo_px=4, maps=["foreground", "distance"], decoder=decoder)
    folder = tmp_path_factory.mktemp("strict") / "bundle"
    return load_bundle(tiny_bundles.write_tiny_segmentation(folder, spec=spec), threads=1)


@pytest.fixture(scope="module")
def cells(nuclei, strict_nuclei, cell_index):
    models = [Model("strict", strict_nuclei), Model("all", nuclei)]
    return compare_models(models, cell_index, rounds=1)


@pytest.fixture(scope="module")
def organ_models(organs, tmp_path_factory):
    """One that is right on colors, and one that takes red for green and green for red."""
    swapped = [tiny_bundles.ORGANS[place] for place in (1, 0, 2)]
    folder = tmp_path_factory.mktemp("swapped") / "bundle"
    other = load_bundle(tiny_bundles.write_tiny_classification(folder, classes=swapped), threads=1)
    return [Model("swapped", other), Model("right", organs)]


@pytest.fixture(scope="module")
def organ_comparison(organ_models, organ_index):
    return compare_models(organ_models, organ_index, rounds=0)


def test_the_best_comes_first_and_is_what_the_others_are_tested_against(cells):
    assert cells.names == ["all", "strict"]
    assert cells.reference == "all"
    values = [cells.score(name, "tiny", "pq")["value"] for name in cells.names]
    test = cells.tests.set_index("metric").loc["pq"]
    assert test["difference"] == pytest.approx(values[1] - values[0], abs=1e-12)
    assert test["low"] <= test["difference"] <= test["high"] < 0


def test_every_model_is_timed_on_the_same_images(cells):
    assert (cells.costs["speed"] > 0).all()
    assert (cells.costs["size_mb"] > 0).all()


def test_accuracy_is_tested_by_mcnemar_and_all_by_a_paired_bootstrap(organ_comparison, organs):
    table = organ_comparison.tests.set_index("metric")
    assert table.loc["accuracy", "test"] == "McNemar"
    right = {name: _correct(organ_comparison, name) for name in organ_comparison.names}
    found = mcnemar(right["swapped"], right["right"])
    row = table.loc["accuracy"]
    assert (row["only_model"], row["only_reference"]) == (found.only_first, found.only_second)
    assert row["p"] == found.p_value
    assert set(table.index) == set(MEASURES["classification"].tested)
    assert (table.drop("accuracy")["test"] == "paired bootstrap").all()
    assert table.loc["nll", "difference"] > 0


def test_differences_of_class_scores_are_those_of_the_scores(organ_comparison):
    table = organ_comparison.tests.set_index("metric")
    for metric in ("balanced_accuracy", "macro_f1", "nll"):
        values = [organ_comparison.score(name, "tiny", metric)["value"] for name in ("swapped", "right")]
        assert table.loc[metric, "difference"] == pytest.approx(values[0] - values[1], abs=1e-6)


def test_p_values_are_corrected_over_the_models():
    rng = np.random.default_rng(0)
    base = rng.random(200) < 0.9
    models = {"a": base, "b": base & (rng.random(200) < 0.93), "c": base & (rng.random(200) < 0.95)}
    tables = {name: _pictures(right) for name, right in models.items()}
    found = tests.paired_tests(tables, "a", MEASURES["classification"])
    accuracy = found[found["metric"] == "accuracy"].sort_values("p")
    assert accuracy["p_holm"].iloc[0] == pytest.approx(min(1, 2 * accuracy["p"].iloc[0]))
    assert accuracy["p_holm"].iloc[1] == pytest.approx(max(accuracy["p_holm"].iloc[0], accuracy["p"].iloc[1]))


def test_organs_are_set_against_the_reference(organ_comparison):
    table = organ_comparison.organs.set_index(["organ", "model"])
    assert table.loc[("blue organ", "swapped"), "difference"] == 0
    assert table.loc[("red organ", "swapped"), "difference"] < -0.5
    assert table.loc[("red organ", "right"), "value"] == pytest.approx(11 / 12)


def test_images_are_ranked_by_disagreement(organ_comparison):
    table = organ_comparison.pictures
    assert table["disagreement"].is_monotonic_decreasing
    assert table["disagreement"].between(0, 1).all()
    first = table.iloc[0]
    assert first["swapped"] != first["right"]


def test_cells_of_the_images_of_disagreement_are_found_once_more(cells, cell_index):
    seen = list(seen_images(cells, cell_index, 2))
    assert [image.id for image in seen] == cells.pictures["id"].head(2).tolist()
    assert list(seen[0].labels) == ["truth", "all", "strict"]
    assert seen[0].pixels.shape[:2] == seen[0].labels["truth"].shape


def test_tables_are_written(organ_comparison, tmp_path):
    files = {path.name for path in write_comparison(organ_comparison, tmp_path)}
    assert files == {"scores.csv", "tests.csv", "costs.csv", "organs.csv", "pictures.csv", "tables.md"}
    lines = (tmp_path / "tables.md").read_text().splitlines()
    assert len({line.count("|") for line in lines if line.startswith("| swapped |")}) == 2
    assert any(line.startswith("| right |") and "0.917" in line for line in lines)
    assert len(pd.read_csv(tmp_path / "pictures.csv")) == 36


def test_parameters_and_operations_are_those_of_the_graph(nuclei, organs):
    # One convolution of 9 x 9 px, one threshold and one factor; one product of 3 x 3.
    assert n_parameters(nuclei) == 81 + 2
    assert n_operations(nuclei) == pytest.approx(2 * 81 * 1e6)
    assert n_parameters(organs) == 9
    assert n_operations(organs) == 2 * 9


def test_runs_and_folders_of_runs_are_found(tmp_path):
    for name in ("one", "two"):
        tiny_bundles.write_tiny_segmentation(tmp_path / "runs" / name / "bundle")
    (tmp_path / "runs" / "one" / "metrics.jsonl").write_text('{"epoch": 1, "loss": 0.5, "pq": 0.1, "seconds": 6}\n')
    models = find_models([str(tmp_path / "runs"), str(tmp_path / "runs" / "one" / "bundle")], threads=1)
    assert [model.name for model in models] == ["one", "two", "tiny-nuclei"]
    assert models[0].epochs()["pq"].tolist() == [0.1]
    assert models[2].epochs().empty


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: [tiny_bundles.write_tiny_segmentation(folder / "a")], "at least two"),
        (
            lambda folder: [
                tiny_bundles.write_tiny_segmentation(folder / "a"),
                tiny_bundles.write_tiny_classification(folder / "b"),
            ],
            "one task",
        ),
        (
            lambda folder: [
                tiny_bundles.write_tiny_classification(folder / "a"),
                tiny_bundles.write_tiny_cell_organs(folder / "b"),
            ],
            "single cells",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(make, sentence, tmp_path):
    with pytest.raises(UsageError, match=sentence):
        find_models([str(path) for path in make(tmp_path)], threads=1)


def test_a_training_that_did_not_end_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="finished training"):
        find_models([str(tmp_path)])


def test_an_unknown_reference_is_refused(organ_models, organ_index):
    with pytest.raises(UsageError, match="swapped, right"):
        compare_models(organ_models, organ_index, reference="third")


def test_images_that_may_have_trained_a_model_are_named(organ_models, organ_index, tmp_path):
    score = tiny_bundles.Score(dataset="tiny", subset="fold 1", n_images=1, metric="accuracy", value=0.5)
    folder = tiny_bundles.write_tiny_classification(tmp_path / "bundle", scores=[score])
    models = [Model("held", load_bundle(folder, threads=1)), organ_models[1]]
    assert not any("trained" in note for note in compare_models(models, organ_index, fold=1, rounds=0).notes)
    assert any("held back from fold 1" in note for note in compare_models(models, organ_index, rounds=0).notes)


def _correct(comparison, name) -> np.ndarray:
    return (comparison.pictures[name] == comparison.pictures["organ"]).to_numpy()


def _pictures(right: np.ndarray) -> pd.DataFrame:
    organ = np.where(np.arange(right.size) % 2 == 0, "one", "two")
    other = np.where(organ == "one", "two", "one")
    chance = np.where(organ == "one", 0.7, 0.3)
    return pd.DataFrame(
        {
            "id": [f"{number:03}" for number in range(right.size)],
            "dataset": "d",
            "organ": organ,
            "group": [f"g{number}" for number in range(right.size)],
            "predicted": np.where(right, organ, other),
            "correct": right,
            "p_one": chance,
            "p_two": 1 - chance,
        }
    )
