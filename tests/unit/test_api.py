"""The public face: `import organscope as osc`, as a person works with it in Python."""

import pickle
import re
import shutil
import sys
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image as PillowImage
from typer.testing import CliRunner

import organscope as osc
import tiny_bundles
from organscope.cli.main import app
from organscope.io.image import image_from_array
from tiny_set import TinySet

NAMES = {
    *("read_image", "Image", "segment", "classify", "analyze", "decide", "Segmentation", "OrganPrediction", "Analysis"),
    *("list_models", "load_model", "Model", "read_dataset", "Dataset", "evaluate", "compare", "train_segmentation"),
    *(
        "train_classification",
        "finetune",
        "teach",
        "run",
        "read_labels",
        "write_labels",
        "to_geojson",
        "measure",
        "errors",
        "__version__",
    ),
}


@pytest.fixture(scope="session")
def bundles(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("bundles")
    return [
        str(tiny_bundles.write_tiny_segmentation(folder / "cells")),
        str(tiny_bundles.write_tiny_classification(folder / "organs")),
        str(tiny_bundles.write_tiny_cell_organs(folder / "cell-organs")),
    ]


@pytest.fixture
def colon_file(tmp_path, colon, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    PillowImage.fromarray(colon[:96, :128]).save("colon.png")
    return "colon.png"


def timeless(path) -> bytes:
    """A result file without what a clock says."""
    if path.name == "summary.csv":
        return pd.read_csv(path).drop(columns="seconds").to_csv().encode()
    if path.name == "report.html":
        return re.sub(rb"\d{4}-\d\d-\d\d \d\d:\d\d UTC", b"", path.read_bytes())
    return path.read_bytes()


def files_below(folder) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and ".organscope" not in path.parts]
    return {path.relative_to(folder).as_posix(): timeless(path) for path in files}


def test_face_offers_its_names_and_no_other():
    assert set(osc.__all__) == NAMES
    assert all(getattr(osc, name) is not None for name in NAMES)
    assert not any(isinstance(getattr(osc, name), ModuleType) for name in NAMES - {"errors"})


@pytest.mark.parametrize("module", ["decision.decide", "evaluation.evaluate"])
def test_a_function_stays_in_place_when_its_namesake_is_imported(module):
    __import__(f"organscope.{module}")
    assert callable(getattr(osc, module.rpartition(".")[2]))


@pytest.mark.parametrize("command", ["analyze", "segment", "classify"])
def test_saving_writes_the_bytes_of_the_command_line(tmp_path, colon_file, bundles, command):
    fitting = {"analyze": bundles, "segment": bundles[:1], "classify": bundles[1:2]}[command]
    words = [word for bundle in fitting for word in ("--bundle", bundle)]
    done = CliRunner().invoke(app, [command, colon_file, "-o", "by-command", *words, "--um-per-px", "0.5"])
    assert done.exit_code == 0, done.output
    given = {"models": fitting} if command == "analyze" else {"model": fitting[0]}
    found = getattr(osc, command)(colon_file, um_per_px=0.5, **given).save(tmp_path / "by-python")
    assert not found.failures
    expected = files_below(tmp_path / "by-command")
    assert files_below(tmp_path / "by-python") == expected
    assert len(expected) >= 2 + 5 * (command == "analyze")


def test_saving_the_shipped_bundles_answer_writes_the_bytes_of_the_command_line(tmp_path, colon_file):
    assert CliRunner().invoke(app, ["analyze", colon_file, "-o", "by-command"]).exit_code == 0
    osc.analyze(colon_file).save("by-python")
    assert files_below(tmp_path / "by-python") == files_below(tmp_path / "by-command")


def test_file_array_and_open_image_give_one_answer(colon_file, bundles, colon):
    from_file = osc.segment(colon_file, model=bundles[0])
    with osc.read_image(colon_file) as image:
        from_image = osc.segment(image, model=bundles[0])
        assert image.read_whole().shape == (96, 128, 3)
    from_array = osc.segment(colon[:96, :128], model=bundles[0])
    assert len(from_file) == 3
    for other in (from_image, from_array):
        np.testing.assert_array_equal(other.labels, from_file.labels)
        pd.testing.assert_frame_equal(other.table, from_file.table)


def test_a_segmentation_is_an_array_and_a_table(colon_file, bundles):
    cells = osc.segment(colon_file, model=bundles[0])
    assert np.asarray(cells).dtype == np.int32
    assert np.asarray(cells).shape == cells.labels.shape == (96, 128)
    assert np.asarray(cells, dtype=np.uint16).max() == len(cells) == len(cells.table) == len(cells.polygons)
    assert [polygon.area for polygon in cells.polygons] == cells.table["area_px"].tolist()
    html = cells._repr_html_()
    assert html.count("data:image/png;base64,") == 1
    assert f"{len(cells)} cells" in html


@pytest.mark.parametrize(
    ("convert", "where"),
    [
        (lambda a: a.astype(np.int64), "8-bit"),
        (lambda a: a.astype(np.float64), "0 was taken as black and 255 as white"),
        (lambda a: (a / 255).astype(np.float32), ""),
        (lambda a: a.astype(">u2") * 257, ""),
        (lambda a: np.asfortranarray(a)[::1], ""),
    ],
)
def test_any_numeric_type_gives_the_same_cells(colon, bundles, convert, where):
    expected = osc.segment(colon[:96, :128], model=bundles[0])
    found = osc.segment(convert(colon[:96, :128]), model=bundles[0])
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert any(where in note for note in found.notes) if where else not found.notes


def test_32_bit_arrays_are_seen_as_their_files_are(tmp_path, colon, bundles):
    pixels = colon[:96, :128].astype(np.uint32) * 16843009
    tifffile.imwrite(tmp_path / "wide.tif", pixels, photometric="rgb")
    from_file = osc.segment(tmp_path / "wide.tif", model=bundles[0])
    from_array = osc.segment(pixels, model=bundles[0])
    np.testing.assert_array_equal(from_array.labels, from_file.labels)


def test_truth_values_are_black_and_white():
    image = osc.Image.from_array(np.eye(4, dtype=bool))
    assert (image.dtype, image.value_range, image.n_channels) == (np.uint8, (0.0, 255.0), 1)
    assert image.read_whole()[:, :, 0].tolist() == (np.eye(4) * 255).tolist()


def test_half_floats_are_floats():
    assert osc.Image.from_array(np.zeros((4, 4), np.float16)).dtype == np.float32


def test_range_can_be_given_and_must_make_sense():
    assert osc.Image.from_array(np.arange(9.0).reshape(3, 3), value_range=(2, 5)).value_range == (2.0, 5.0)
    for wrong in ((5, 2), (1,), "ab", (0, float("nan"))):
        with pytest.raises(osc.errors.UsageError, match="value_range"):
            osc.Image.from_array(np.zeros((3, 3)), value_range=wrong)


def test_a_channel_of_an_array_is_chosen_or_asked_for(bundles, colon):
    many = np.repeat(colon[:64, :64], 2, axis=2)
    with pytest.raises(osc.errors.ShapeError, match="6 channels"):
        osc.segment(many, model=bundles[0])
    one = osc.segment(many, channel=1, model=bundles[0])
    np.testing.assert_array_equal(one.labels, osc.segment(colon[:64, :64, 0], model=bundles[0]).labels)


def test_pixels_are_those_of_the_moment():
    pixels = np.zeros((4, 4), np.uint8)
    image = osc.Image.from_array(pixels)
    pixels[:] = 9
    assert not image.read_whole().any()


def test_an_array_travels_to_another_process():
    image = image_from_array(np.arange(20, dtype=np.uint8).reshape(4, 5), um_per_px=0.5, name="mine")
    copy = pickle.loads(pickle.dumps(image))
    assert (copy.name, copy.um_per_px) == (image.name, image.um_per_px)
    np.testing.assert_array_equal(copy.read_whole(), image.read_whole())


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (None, "found nothing"),
        ([np.zeros((4, 4))], "organscope.run"),
        (pd.DataFrame({"a": [1.0]}), "table.to_numpy"),
        (b"\x89PNG", "found bytes"),
        (7, "found int"),
        ({"image": 1}, "found dict"),
        (np.zeros(5), "1 dimensions"),
        (np.zeros((2, 3, 4, 5)), "4 dimensions"),
        (np.zeros((0, 5)), "found none"),
        (np.zeros((4, 4), complex), "complex128"),
        (np.array([[None, 1]], object), "object"),
        (np.array([["a"]]), "<U1"),
        (np.zeros((4, 4), "datetime64[s]"), "datetime64"),
        (np.full((4, 4), np.nan), "finite"),
        (np.ma.masked_array(np.zeros((4, 4)), np.eye(4)), "masked"),
        (np.zeros((3, 64, 64)), "moveaxis"),
        ("nowhere.png", "nowhere.png"),
    ],
)
def test_what_is_no_image_is_a_sentence(given, sentence, bundles):
    for ask in (osc.segment, osc.classify, osc.read_image):
        with pytest.raises(osc.errors.OrganscopeError, match=re.escape(sentence)):
            ask(given)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"color": 1}, "found color"),
        ({"diameter_px": -1}, "diameter_px"),
        ({"diameter_px": "large"}, "diameter_px"),
        ({"min_cell_recall": 1.5}, "min_cell_recall"),
        ({"model": 5}, "found int"),
        ({"model": "nobody"}, "nobody"),
        ({"model": "organs"}, "for classification"),
        ({"um_per_px": -1}, "pixel size"),
    ],
)
def test_wrong_arguments_are_sentences(colon_file, options, sentence):
    with pytest.raises(osc.errors.UsageError, match=sentence):
        osc.segment(colon_file, **options)


def test_options_belong_to_opening(colon_file, bundles):
    with osc.read_image(colon_file) as image, pytest.raises(osc.errors.UsageError, match="read_image"):
        osc.segment(image, um_per_px=0.5)


def test_large_images_are_for_a_run(monkeypatch, colon_file, bundles):
    monkeypatch.setattr("organscope.pipeline.analysis.MAX_HELD_PX", 1000)
    with pytest.raises(osc.errors.UsageError, match=r"organscope\.run"):
        osc.segment(colon_file, model=bundles[0])


def test_an_organ_says_what_it_rests_on(bundles):
    red = np.zeros((64, 64, 3), np.uint8)
    red[:, :, 0] = 200
    organ = osc.classify(red, model=bundles[1])
    assert (organ.label, organ.accepted, organ.reasons) == ("red organ", True, ())
    assert organ.probabilities.index[0] == "red organ"
    assert organ.probabilities.sum() == pytest.approx(1)
    assert organ.confidence == pytest.approx(organ.probabilities.iloc[0])
    gray = osc.classify(np.full((64, 64), 128, np.uint8), model=bundles[1])
    assert not gray.accepted
    assert "unlike anything" in " ".join(gray.reasons)
    assert gray.reasons[0] in gray._repr_html_()


def test_deciding_again_is_deciding_so_from_the_start(colon_file, bundles):
    costs = {"green organ": 50, "abstain": 0.9}
    result = osc.analyze(colon_file, models=bundles)
    again = result.decide(costs=costs)
    afresh = osc.analyze(colon_file, models=bundles, costs=costs)
    assert again.organ.label == afresh.organ.label
    assert again.organ.reasons == afresh.organ.reasons
    assert osc.decide(result, costs=costs).organ.reasons == again.organ.reasons
    assert result.organ.reasons == osc.analyze(colon_file, models=bundles).organ.reasons


@pytest.mark.parametrize(
    ("costs", "sentence"),
    [
        ({"nowhere organ": 2}, "nowhere organ"),
        ({"red organ": -1}, "red organ"),
        ({"red organ": "much"}, "red organ"),
        ({"pair": 3}, "pair"),
        (20, "dictionary"),
        ("nowhere.toml", "nowhere.toml"),
    ],
)
def test_wrong_costs_are_sentences(bundles, costs, sentence):
    organ = osc.classify(np.full((64, 64), 128, np.uint8), model=bundles[1])
    with pytest.raises(osc.errors.UsageError, match=sentence):
        organ.decide(costs=costs)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"target_class": 3}, "name of an organ"),
        ({"target_class": "red organ", "min_recall": "high"}, "recall above 0"),
        ({"target_class": "red organ", "min_recall": 1.5}, "recall"),
        ({"min_recall": 0.9}, "must not be missed"),
        ({"target_class": "nose"}, "nose"),
    ],
)
def test_wrong_targets_are_sentences(bundles, asked, sentence):
    organ = osc.classify(np.full((64, 64), 128, np.uint8), model=bundles[1])
    with pytest.raises(osc.errors.OrganscopeError, match=sentence):
        organ.decide(**asked)


def test_a_run_writes_resumes_and_is_decided_again(colon_file, bundles, tmp_path):
    first = osc.run(colon_file, "out", models=bundles)
    assert [image.target.stem.name for image in first.images] == ["colon"]
    before = (tmp_path / "out" / "colon" / "labels.tif").stat().st_mtime_ns
    osc.run([colon_file], "out", models=bundles)
    assert (tmp_path / "out" / "colon" / "labels.tif").stat().st_mtime_ns == before
    decided = osc.decide("out", costs={"green organ": 50})
    assert len(decided.table) == 1
    with pytest.raises(osc.errors.UsageError, match=r"analyze\(image\)\.save"):
        osc.run(np.zeros((4, 4)), "out")
    with pytest.raises(osc.errors.UsageError, match="task"):
        osc.run(colon_file, "out", task="paint")


def test_models_are_opened_once_and_anew_when_they_changed(bundles, tmp_path):
    assert {"cell-organs", "nuclei", "organs"} <= set(osc.list_models().index)
    folder = shutil.copytree(bundles[0], tmp_path / "cells")
    model = osc.load_model(folder)
    assert osc.load_model(str(folder)) is model
    assert (model.name, model.task) == ("tiny-nuclei", "segmentation")
    assert model.card.startswith("# tiny-nuclei")
    assert "metric" in model.scores
    tiny_bundles.reseal(folder, summary="Another one.")
    assert osc.load_model(folder) is not model


def test_evaluating_and_comparing(bundles, tmp_path, colon):
    made = TinySet(tmp_path / "set")
    cells = osc.segment(colon[:96, :128], model=bundles[0]).labels
    made.add("colon", colon[:96, :128], cells)
    dataset = made.index()
    folder = dataset.folder
    assert len(osc.read_dataset(folder)) == 1
    found = osc.evaluate(bundles[0], folder, out=tmp_path / "scores")
    assert found.score("dice") == pytest.approx(1.0)
    assert (tmp_path / "scores" / "evaluation.html").is_file()
    compared = osc.compare([bundles[0], bundles[0]], osc.read_dataset(folder), rounds=0)
    assert len(compared.names) == 2
    with pytest.raises(osc.errors.UsageError, match="options of an evaluation"):
        osc.evaluate(bundles[0], folder, color=1)


@pytest.mark.parametrize(("train", "other"), [("train_segmentation", "torch"), ("train_classification", "tensorflow")])
def test_frameworks_never_share_a_process(monkeypatch, tmp_path, train, other):
    monkeypatch.setitem(sys.modules, other, ModuleType(other))
    with pytest.raises(osc.errors.UsageError, match="beside it"):
        getattr(osc, train)(tmp_path / "config.toml", tmp_path / "run")


def test_outlines_for_qupath(colon_file, bundles, tmp_path):
    result = osc.analyze(colon_file, models=bundles)
    result.save("saved")
    path = osc.to_geojson(result, tmp_path / "mine.geojson")
    assert path.read_bytes() == (tmp_path / "saved" / "colon" / "cells.geojson").read_bytes()
    with pytest.raises(osc.errors.UsageError, match="ndarray"):
        osc.to_geojson(result.cells.labels, tmp_path / "mine.geojson")
