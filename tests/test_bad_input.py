"""Bad input, end to end through the command line: a clear sentence, the others finished, nothing half-written."""

import json
import os
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from typer.testing import CliRunner, Result

from organscope.cli.main import app
from organscope.io import write_labels
from tiny_set import two_cells

COMPRESSION_TAG = 259
UNKNOWN_CODEC = 60000


def call(*words: object) -> Result:
    """Run `organscope data ...`; a traceback is never right."""
    result = CliRunner().invoke(app, ["data", *(str(word) for word in words)])
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def one_line(text: str) -> str:
    """Text without the line ends that a table puts in."""
    return " ".join(text.split())


def assert_nothing_half_written(folder: Path) -> None:
    left = [path for path in folder.rglob("*") if path.name.startswith((".partial", ".import", ".check", ".summary"))]
    assert left == []


@pytest.fixture
def noise() -> Callable[..., np.ndarray]:
    random = np.random.default_rng(0)
    return lambda size=(40, 40): random.integers(1, 255, size, np.uint8)


@pytest.fixture
def pictures(tmp_path, noise) -> Path:
    """A folder with two good images; tests add the bad one."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("good_1", "good_2"):
        tifffile.imwrite(folder / f"{name}.tif", noise())
    return folder


def png_without_pixels(width: int, height: int) -> bytes:
    """An 8-bit gray PNG that claims to have that size."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def write_truncated_tiff(path: Path, pixels: np.ndarray) -> None:
    tifffile.imwrite(path, pixels, compression="zlib", rowsperstrip=4)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_unknown_codec(path: Path, pixels: np.ndarray) -> None:
    tifffile.imwrite(path, pixels)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags[COMPRESSION_TAG].overwrite(UNKNOWN_CODEC)


UNUSABLE = {
    "truncated.tif": (write_truncated_tiff, "truncated"),
    "zero_bytes.png": (lambda path, pixels: path.touch(), "is empty (0 bytes)"),
    "text.tif": (lambda path, pixels: path.write_text("no image"), "of no known format"),
    "no_pixels.png": (lambda path, pixels: path.write_bytes(png_without_pixels(0, 7)), "no_pixels.png"),
    "bomb.png": (lambda path, pixels: path.write_bytes(png_without_pixels(20_000, 10_000)), "200 megapixels"),
    "unknown_codec.tif": (write_unknown_codec, "export with LZW or Deflate"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_image_that_cannot_be_used_is_named_and_the_others_are_imported(pictures, tmp_path, noise, name):
    write, said = UNUSABLE[name]
    write(pictures / name, noise())
    result = call("import", pictures, "-o", tmp_path / "index")
    assert result.exit_code == 1
    (sentence,) = (line for line in result.stderr.splitlines() if line.startswith("Failed"))
    assert sentence.startswith(f"Failed: {name}: Expected ")
    assert said in sentence
    assert pd.read_csv(tmp_path / "index" / "index.csv")["id"].tolist() == ["good_1", "good_2"]
    assert_nothing_half_written(tmp_path)


def test_bomb_guard_says_the_way_round(pictures, tmp_path):
    (pictures / "bomb.png").write_bytes(png_without_pixels(20_000, 10_000))
    assert "Convert it to a tiled TIFF" in call("import", pictures, "-o", tmp_path / "index").stderr


@pytest.mark.parametrize("name", UNUSABLE)
def test_image_that_broke_after_import_is_a_finding(pictures, tmp_path, noise, name):
    good = pictures / name
    if name.endswith(".tif"):
        tifffile.imwrite(good, noise())
    else:
        write_png(good, noise())
    assert call("import", pictures, "-o", tmp_path / "index").exit_code == 0
    write, said = UNUSABLE[name]
    good.unlink()
    write(good, noise())
    result = call("check", tmp_path / "index", "--json")
    assert result.exit_code == 1
    errors = [found for found in json.loads(result.stdout)["findings"] if found["severity"] == "error"]
    assert [(found["check"], found["sample"]) for found in errors] == [("unreadable-image", Path(name).stem)]
    assert said in errors[0]["message"]
    assert_nothing_half_written(tmp_path)


def write_png(path: Path, pixels: np.ndarray) -> None:
    from PIL import Image

    Image.fromarray(pixels).save(path)


QUESTIONABLE = {
    "one pixel": (np.array([[9]], np.uint8), "error", "tiny-image"),
    "one row": (np.arange(40, dtype=np.uint8)[None], "error", "tiny-image"),
    "not a number": (np.where(np.eye(40) > 0, np.nan, np.arange(40.0)).astype(np.float32), "warning", "not-finite"),
    "infinite": (np.where(np.eye(40) > 0, np.inf, np.arange(40.0)).astype(np.float32), "warning", "not-finite"),
    "all black": (np.zeros((40, 40), np.uint16), "error", "constant-image"),
}


@pytest.mark.parametrize("name", QUESTIONABLE)
def test_image_of_doubtful_content_is_imported_and_found_by_the_check(pictures, tmp_path, name):
    pixels, severity, check = QUESTIONABLE[name]
    tifffile.imwrite(pictures / f"{name}.tif", pixels)
    assert call("import", pictures, "-o", tmp_path / "index").exit_code == 0
    result = call("check", tmp_path / "index")
    assert result.exit_code == (severity == "error")
    findings = pd.read_csv(tmp_path / "index" / "findings.csv", keep_default_na=False)
    about = findings[findings["sample"] == name]
    assert about[["severity", "check"]].to_numpy().tolist() == [[severity, check]]
    assert call("summary", tmp_path / "index", "-o", tmp_path / "summary", "--no-umap").exit_code == 0
    assert_nothing_half_written(tmp_path)


def test_labels_of_another_size(tmp_path, noise):
    for part in ("images", "labels"):
        (tmp_path / "set" / part).mkdir(parents=True)
    for name in ("right", "wrong"):
        tifffile.imwrite(tmp_path / "set" / "images" / f"{name}.tif", noise())
        write_labels(tmp_path / "set" / "labels" / f"{name}.tif", two_cells(40))
    assert call("import", tmp_path / "set", "-o", tmp_path / "first").exit_code == 0
    write_labels(tmp_path / "set" / "labels" / "wrong.tif", two_cells(32))
    result = call("check", tmp_path / "first", "--json")
    assert {found["check"] for found in json.loads(result.stdout)["findings"] if found["sample"] == "wrong"} == {
        "changed-file",
        "size-mismatch",
    }
    result = call("import", tmp_path / "set", "-o", tmp_path / "second")
    assert result.exit_code == 1
    assert "40 x 40" in result.stderr
    assert "32 x 32" in result.stderr
    assert pd.read_csv(tmp_path / "second" / "index.csv")["n_cells"].fillna(0).tolist() == [2, 0]


def test_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    result = call("import", tmp_path / "empty", "-o", tmp_path / "index")
    assert result.exit_code == 2
    assert "found no image" in result.stderr
    assert not (tmp_path / "index").exists()


ODD_NAMES = ("with space", "Gewebe süß", "line\nend", "per%cent & <b>", "-dash")


def test_odd_names_go_all_the_way(tmp_path, noise):
    for organ in ("lymph node", "Drüse"):
        (tmp_path / "set" / organ).mkdir(parents=True)
        for name in ODD_NAMES:
            tifffile.imwrite(tmp_path / "set" / organ / f"{name}.tif", noise((40, 40)) // (1 + (organ == "Drüse")))
    assert call("import", tmp_path / "set", "-o", tmp_path / "index").exit_code == 0
    expected = {f"{organ}/{name}" for organ in ("lymph node", "Drüse") for name in ODD_NAMES}
    assert set(pd.read_parquet(tmp_path / "index" / "index.parquet")["id"]) == expected
    (tmp_path / "set" / "Drüse" / "line\nend.tif").unlink()
    result = call("check", tmp_path / "index")
    assert result.exit_code == 1
    assert "Drüse/line\\nend" in result.stdout
    result = call("summary", tmp_path / "index", "-o", tmp_path / "out", "--no-umap")
    assert result.exit_code == 1
    assert "Failed: Drüse/line\\nend: " in result.stderr
    page = (tmp_path / "out" / "summary.html").read_text(encoding="utf-8")
    assert "lymph node" in page
    assert "<b>" not in page


def test_symlink_loop_ends(pictures, tmp_path):
    (pictures / "again").symlink_to(pictures, target_is_directory=True)
    (pictures / "itself.tif").symlink_to(pictures / "itself.tif")
    result = call("import", pictures, "-o", tmp_path / "index")
    assert result.exit_code == 1
    assert "Failed: itself.tif: Expected an image at " in one_line(result.stderr)
    assert pd.read_csv(tmp_path / "index" / "index.csv")["id"].tolist() == ["good_1", "good_2"]


def test_output_that_cannot_be_written(pictures, tmp_path):
    assert call("import", pictures, "-o", tmp_path / "index").exit_code == 0
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "out"
    for words in (("import", pictures), ("check", tmp_path / "index"), ("summary", tmp_path / "index")):
        result = call(*words, "-o", place)
        assert result.exit_code == 2
        assert one_line(result.stderr).startswith("Error: ")
        assert str(tmp_path / "file") in result.stderr
        assert "hoose another folder" in result.stderr


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 64 KiB."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_full_disk_is_said_and_nothing_half_written_stays(tmp_path, small_disk, noise):
    for part in ("images", "labels"):
        (tmp_path / "set" / part).mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(4):
        tifffile.imwrite(tmp_path / "set" / "images" / f"{number}.tif", noise((200, 200)))
        # A mask of one value is converted, and noise does not pack: some 20 KiB each.
        mask = (random.random((200, 200)) < 0.4).astype(np.uint8)
        tifffile.imwrite(tmp_path / "set" / "labels" / f"{number}.tif", mask)
    result = call("import", tmp_path / "set", "-o", small_disk / "index")
    assert result.exit_code == 2
    assert "No space left on device" in result.stderr
    assert not (small_disk / "index" / "index.csv").exists()
    assert not list(small_disk.rglob(".partial*"))

    assert call("import", tmp_path / "set", "-o", tmp_path / "index").exit_code == 0
    for words in (("check", "-o"), ("summary", "--no-umap", "-o")):
        result = call(words[0], tmp_path / "index", *words[1:], small_disk / words[0])
        assert result.exit_code == 2, result.output
        assert "No space left on device" in result.stderr
        assert not list(small_disk.rglob(".partial*"))


COMMAND = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from organscope.cli.main import main; main()"
)


@pytest.mark.parametrize("command", ["import", "check"])
def test_ctrl_c_keeps_what_is_finished(pictures, tmp_path, noise, command):
    for number in range(60):
        tifffile.imwrite(pictures / f"more_{number:03d}.tif", noise((700, 700)))
    index, out = tmp_path / "index", tmp_path / "out"
    if command == "check":
        assert call("import", pictures, "-o", index).exit_code == 0
    words = {"import": ["import", pictures, "-o", out], "check": ["check", index, "-o", out]}[command]
    journal = out / {"import": ".import/journal.jsonl", "check": ".check-journal.jsonl"}[command]
    stopped = interrupt_when(lambda: journal.is_file() and journal.stat().st_size > 0, words)
    assert stopped.returncode == 130
    assert stopped.stderr.startswith("Interrupted. ")
    assert "Traceback" not in stopped.stderr
    assert not list(out.glob("*.csv"))
    n_finished = len(journal.read_text().splitlines())
    assert 0 < n_finished < 62
    result = call(*words, "--json")
    document = json.loads(result.stdout)
    assert document["n_images"] == 62
    if command == "import":
        assert document["n_reused"] == n_finished
    assert_nothing_half_written(tmp_path)


def interrupt_when(is_due: Callable[[], bool], words: list) -> subprocess.CompletedProcess:
    """Run a command and press Ctrl-C, which reaches all its processes, as soon as that is due."""
    import signal
    import sys
    import time

    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "data", *map(str, words), "--workers", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    while process.poll() is None and not is_due():
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def write_coco(folder: Path, annotations: list[dict]) -> None:
    images = [{"id": n, "file_name": f"good_{n}.tif", "height": 40, "width": 40} for n in (1, 2)]
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cell"}]}
    (folder / "annotations.json").write_text(json.dumps(document))


def polygon(number: int, image: int, corners: list[float], category: int = 1) -> dict:
    return {"id": number, "image_id": image, "category_id": category, "segmentation": [corners], "iscrowd": 0}


def test_coco_with_dangling_ids(pictures, tmp_path):
    square = [5, 5, 15, 5, 15, 15, 5, 15]
    write_coco(pictures, [polygon(1, 1, square), polygon(2, 77, square), polygon(3, 2, square)])
    result = call("import", pictures, "-o", tmp_path / "index")
    assert result.exit_code == 1
    assert "1 annotations name images that the file does not list (2 -> 77)" in one_line(result.stderr)
    assert pd.read_csv(tmp_path / "index" / "index.csv")["n_cells"].tolist() == [1, 1]


def test_self_crossing_polygon_keeps_both_its_parts_and_the_check_tells(pictures, tmp_path):
    bow_tie = [5, 5, 25, 25, 25, 5, 5, 25]
    write_coco(pictures, [polygon(1, 1, bow_tie), polygon(2, 2, [5, 5, 9, 5]), polygon(3, 2, [5, 5, 15, 5, 15, 15])])
    result = call("import", pictures, "-o", tmp_path / "index")
    assert result.exit_code == 1
    # Two corners are no polygon; that cell is named, the others are kept.
    (sentence,) = (line for line in result.stderr.splitlines() if line.startswith("Failed"))
    assert "good_2.tif" in sentence
    table = pd.read_csv(tmp_path / "index" / "index.csv")
    assert table["n_cells"].tolist() == [1, 1]
    labels = tifffile.imread(tmp_path / "index" / table["labels"][0])
    assert (labels == 1).sum() == pytest.approx(2 * 20 * 10 / 2, abs=20)
