"""The table and the JSON of a run."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from organscope.cli._output import MOST_ROWS, as_data, print_json, print_results, shown
from organscope.decision import Decision
from organscope.inference import Classification
from organscope.pipeline import Failure, ImageResult, RunResult, Target
from organscope.pipeline.results import CellAnswer


def run_of(n_images: int, **changes) -> RunResult:
    images = tuple(
        ImageResult(Target(Path(f"in/{i}.png"), Path(str(i))), 1000, 1000, None, 2.0, areas_px=np.array([30.0, 50.0]))
        for i in range(n_images)
    )
    fields = {
        "out": Path("out"),
        "images": images,
        "failures": (),
        "files": (),
        "seconds": 2.0,
        "peak_memory_mb": 100.0,
    }
    return RunResult(**{**fields, **changes})


def test_table_has_figures_and_cost(capsys):
    print_results(run_of(1), 1.5)
    text = capsys.readouterr().out
    assert "0.png" in text
    assert "40 px" in text
    assert "2.0 s a megapixel, 2.0 s in all after 1.5 s to start" in text
    assert "peak memory 100 MB" in text


def test_long_table_is_cut_and_says_so(capsys):
    print_results(run_of(MOST_ROWS + 5), 1.5)
    assert "... and 5 more" in capsys.readouterr().out


def test_run_without_a_finished_image_is_printed(capsys):
    print_results(run_of(0, failures=(Failure("a.png", "Broken."),)), 1.5)
    assert "Results: out" in capsys.readouterr().out


def test_report_is_pointed_to(capsys):
    print_results(run_of(1, files=(Path("out/summary.csv"), Path("out/report.html"))), 1.5)
    assert "Report: out/report.html" in capsys.readouterr().out


def test_data_can_be_written_as_json_whatever_the_names(capsys):
    data = as_data(run_of(1, failures=(Failure("bad\udcff\n.png", "Broken."),)))
    print_json(data)
    assert json.loads(capsys.readouterr().out) == data
    assert data["images"][0]["n_cells"] == 2
    assert data["images"][0]["median_area_px"] == 40.0


@pytest.mark.parametrize(
    ("name", "text"), [("a b.png", "a b.png"), ("a\nb", "a\\nb"), ("\x1b[31m", "\\x1b[31m"), ("ü", "ü")]
)
def test_names_are_shown_on_one_line_without_control_characters(name, text):
    assert shown(name) == text


def test_data_has_what_image_and_cells_say_each_alone():
    nothing = np.zeros((0, 2), np.float32)
    decision = Decision(1, 0.7, "accept", "", 0.9, prediction_set=(1,))
    answer = {
        "classification": Classification(("x", "y"), np.array([0.3, 0.7]), nothing, nothing, decision),
        "cell_answer": CellAnswer(("x", "y"), np.array([1, 3]), np.array([0.4, 0.6]), None, "no cells", "y", 0.7),
    }
    (image,) = run_of(1).images
    (found,) = as_data(run_of(1, images=(dataclasses.replace(image, **answer),)))["images"]
    assert (found["image_organ"], found["cells_organ"], found["agreement"]) == ("y", None, "no cells")
    assert found["organs_of_cells"] == {"x": 1, "y": 3}
