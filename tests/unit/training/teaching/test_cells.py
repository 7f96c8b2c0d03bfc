"""Taught kinds of cells: what they know of patients that they have not seen, and the bundle that comes of it."""

import numpy as np
import pytest

import organscope as osc
from kinds_set import KINDS, draw_kinds, write_kinds_index
from organscope.data.index import read_index
from organscope.errors import DatasetError, UsageError
from organscope.inference import name_cell_kinds
from organscope.io import Image
from organscope.models import describe, verify_bundle
from organscope.ops.tiling import cell_centers
from organscope.training.teaching import teach_cells
from organscope.training.teaching.cell_graph import feature_graph
from organscope.training.teaching.encoder import load_encoder
from texture_set import write_texture_set


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    return teach_cells(read_index(write_kinds_index(folder, labeled=True)), folder / "bundle", name="kinds")


def test_it_names_cells_of_patients_that_it_has_not_seen(taught):
    scores = taught.scores.set_index("metric")
    assert scores.loc["macro_f1", "value"] >= 0.9
    assert (taught.predictions["answered"] == taught.predictions["label"]).mean() == scores.loc["accuracy", "value"]
    assert taught.notes[0].startswith("Each cell was answered by a head that had seen nothing of its group (6 groups).")
    assert taught.classes["cells"].sum() == len(taught.predictions) == 150


def test_a_promise_counts_patients_and_not_cells(taught):
    # .1 ** (1 / 6) = .681: what cells of six patients allow, however many they are; .95 takes 45 patients.
    assert taught.classes["promised"].tolist() == [0.68, 0.68]
    assert taught.classes["more_groups"].tolist() == [39, 39]


def test_too_few_patients_say_nothing_of_shares(taught):
    shares = taught.bundle.manifest.spec.shares
    assert (shares.n_groups, shares.margins) == (6, [1.0, 1.0])


def test_the_bundle_verifies_and_names_new_cells(taught):
    assert verify_bundle(taught.bundle).ok
    pixels, labels, kinds = draw_kinds(np.random.default_rng(7))
    found = name_cell_kinds(Image.from_array(pixels), cell_centers(labels), taught.bundle)
    assert found.kinds == KINDS
    assert np.mean([found.kinds[k] == kind for k, kind in zip(found.kind_index, kinds, strict=True)]) >= 0.9
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)
    assert "--cell-kinds" in describe(taught.bundle.manifest)


def test_the_same_cells_at_twice_the_size_have_the_same_kinds(taught):
    pixels, labels, kinds = draw_kinds(np.random.default_rng(8))
    large = Image.from_array(pixels.repeat(2, axis=0).repeat(2, axis=1))
    centers = 2 * cell_centers(labels) + 0.5
    diameter_px = 2 * taught.bundle.manifest.spec.typical_diameter_px
    found = name_cell_kinds(large, centers, taught.bundle, diameter_px=diameter_px)
    assert np.mean([found.kinds[k] == kind for k, kind in zip(found.kind_index, kinds, strict=True)]) >= 0.9


def test_noise_is_unknown_to_it(taught, rng):
    noise = Image.from_array(rng.integers(0, 256, (96, 96, 3), dtype=np.uint8))
    assert not name_cell_kinds(noise, np.full((1, 2), 48.0), taught.bundle).sure.any()


def test_no_cells_give_no_kinds(taught):
    found = name_cell_kinds(Image.from_array(np.zeros((8, 8, 3), np.uint8)), np.zeros((0, 2)), taught.bundle)
    assert found.probabilities.shape == (0, 2)
    assert len(found.sure) == 0


def test_points_teach_as_outlines_do(tmp_path):
    found = osc.teach(write_kinds_index(tmp_path, n_images=4), tmp_path / "mine", what="cells")
    assert found.bundle.manifest.name == "taught-cells"
    assert found.scores.set_index("metric").loc["accuracy", "value"] >= 0.9
    assert found.bundle.manifest.spec.typical_diameter_px > 0


def test_an_index_without_classes_is_refused(tmp_path):
    write_texture_set(tmp_path)
    with pytest.raises(DatasetError, match="at least two classes"):
        teach_cells(read_index(tmp_path / "index"), tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_what_is_taught_must_be_known(tmp_path):
    with pytest.raises(UsageError, match="organs or cells"):
        osc.teach(tmp_path, tmp_path / "mine", what="tissue")


def test_an_encoder_without_stages_is_refused():
    with pytest.raises(UsageError, match="stages"):
        feature_graph(load_encoder("organs").model)


def test_such_a_bundle_is_not_scored_as_another(taught, tmp_path):
    with pytest.raises(UsageError, match="names kinds of cells"):
        osc.evaluate(taught.bundle, write_kinds_index(tmp_path, n_images=1, labeled=True))
