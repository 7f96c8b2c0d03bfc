"""Taught classifiers: what they know, what they say of it, and what is computed only once."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PillowImage

from organscope.data.index import read_index, write_index
from organscope.errors import DatasetError, UsageError
from organscope.inference import classify_image
from organscope.io import open_image
from organscope.models import load_bundle, verify_bundle
from organscope.training.teaching import encoder, teach_organs
from texture_set import ORGANS, index_row, texture

N_PATIENTS = 4


def write_index_of(folder: Path, organs=ORGANS, n_images: int = 8, *, groups: bool = True) -> Path:
    """Textures of some organs, two images a patient, every patient with every organ."""
    random = np.random.default_rng(0)
    rows = []
    for organ in organs:
        for number in range(n_images):
            path = folder / f"{organ}_{number}.png"
            PillowImage.fromarray(texture(organ, random)).save(path)
            row = index_row(path, organ, fold=1)
            rows.append(row | {"group": f"patient {number % N_PATIENTS}" if groups else "", "sha256": path.stem * 8})
    write_index(folder / "index", pd.DataFrame(rows))
    return folder / "index"


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    folder = tmp_path_factory.mktemp("taught")
    return teach_organs(read_index(write_index_of(folder)), folder / "bundle", name="textures")


def test_it_names_images_of_patients_that_it_has_not_seen(taught):
    scores = taught.scores.set_index("metric")
    assert scores.loc["accuracy", "value"] >= 0.9
    assert scores.loc["accuracy", "low"] <= scores.loc["accuracy", "value"] <= scores.loc["accuracy", "high"]
    assert (taught.predictions["answered"] == taught.predictions["label"]).mean() == scores.loc["accuracy", "value"]
    assert taught.notes[0].startswith(
        "Each image was answered by a head that had seen nothing of its group (4 groups)."
    )


def test_eight_images_allow_a_promise_of_three_quarters_and_say_what_is_lacking(taught):
    # .1 ** (1 / 8) = .7499: the highest recall that eight images allow with 90 % confidence; .95 takes 45.
    assert taught.classes["promised"].tolist() == [0.74] * 3
    assert taught.classes["more_images"].tolist() == [37] * 3
    assert taught.classes["groups"].tolist() == [4] * 3


def test_the_bundle_verifies_and_names_new_images(taught, tmp_path):
    bundle = load_bundle(taught.folder)
    assert verify_bundle(bundle).ok
    random = np.random.default_rng(7)
    for organ in ORGANS:
        path = tmp_path / f"{organ}.png"
        PillowImage.fromarray(texture(organ, random)).save(path)
        with open_image(path) as image:
            found = classify_image(image, bundle)
        assert found.organs[int(found.probabilities.argmax())] == organ
    manifest = bundle.manifest
    assert (manifest.name, manifest.classes, manifest.scores[0].subset) == ("textures", list(ORGANS), "out of group")
    assert "Apache-2.0" in bundle.read(manifest.card).decode()


def test_noise_is_unknown_to_it(taught, tmp_path, rng):
    path = tmp_path / "noise.png"
    PillowImage.fromarray(rng.integers(0, 256, (96, 96, 3), dtype=np.uint8)).save(path)
    with open_image(path) as image:
        assert classify_image(image, taught.bundle).decision.decision == "abstain"


def test_only_new_images_are_computed_and_a_damaged_file_again(tmp_path, monkeypatch):
    index = write_index_of(tmp_path, n_images=4)
    first = teach_organs(read_index(index), tmp_path / "first")
    computed = []
    run = encoder.Encoder.run
    monkeypatch.setattr(encoder.Encoder, "run", lambda self, fields: computed.append(len(fields)) or run(self, fields))
    write_index_of(tmp_path, n_images=5)
    damaged = next((index / "features").rglob("bark_0*.npz"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    second = teach_organs(read_index(index), tmp_path / "second")
    # One new image of each organ and the damaged one: each one field and two copies.
    assert computed == [3, 3, 3, 3]
    assert len(second.predictions) == len(first.predictions) + 3


def test_progress_reaches_the_end(tmp_path):
    seen = []
    teach_organs(
        read_index(write_index_of(tmp_path, n_images=2)), tmp_path / "b", progress=lambda *done: seen.append(done)
    )
    assert seen == [(n, 6) for n in range(7)]


def test_without_groups_it_says_that_images_were_left_out(tmp_path):
    found = teach_organs(read_index(write_index_of(tmp_path, n_images=3, groups=False)), tmp_path / "b")
    assert "names no groups" in found.notes[0]
    assert found.bundle.read(found.bundle.manifest.card).decode().count("names no groups") == 1


def test_a_bundle_that_names_organs_is_an_encoder(tmp_path):
    found = teach_organs(read_index(write_index_of(tmp_path, n_images=3)), tmp_path / "b", encoder="organs")
    assert found.bundle.manifest.spec.input_px == load_bundle("organs").manifest.spec.input_px
    assert verify_bundle(found.bundle).ok


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("nuclei", "names organs of whole images"), ("no-such", "no-such"), ("none.onnx", "found no file")],
)
def test_what_is_no_encoder_is_refused(tmp_path, name, sentence):
    index = read_index(write_index_of(tmp_path, n_images=2))
    with pytest.raises(UsageError, match=sentence):
        teach_organs(index, tmp_path / "b", encoder=name)
    assert not (tmp_path / "b").exists()


def test_one_organ_or_a_single_image_of_one_is_refused(tmp_path):
    index = read_index(write_index_of(tmp_path, organs=("bark",)))
    with pytest.raises(DatasetError, match="at least two organs"):
        teach_organs(index, tmp_path / "b")
    write_index_of(tmp_path)
    table = read_index(tmp_path / "index").table
    few = table[(table["organ"] != "mesh") | (table["id"] == table["id"].iloc[-1])]
    with pytest.raises(DatasetError, match=r"2 images of every class, found fewer of mesh"):
        teach_organs(write_index(tmp_path / "index", few), tmp_path / "b")


def test_the_public_face_teaches_the_same(tmp_path):
    import organscope as osc

    seen = []
    found = osc.teach(write_index_of(tmp_path, n_images=2), tmp_path / "b", progress=lambda *done: seen.append(done))
    assert seen[-1] == (6, 6)
    image = tmp_path / "bark_0.png"
    assert osc.classify(image, model=found.bundle).label == "bark"
