"""One HTML page of an evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pandas as pd

from organscope import __version__
from organscope.evaluate import Evaluation
from organscope.images.atomic import atomic_path
from organscope.report.dataset.figures import Drawing, draw
from organscope.report.dataset.style import data_uri
from organscope.report.evaluation import figures
from organscope.report.rendering import page_environment

PAGE_NAME = "evaluation.html"
MAX_ROWS = 60


@dataclass(frozen=True)
class TableEntry:
    """A table of the page: its title, what it says, and its rows."""

    title: str
    caption: str
    table: pd.DataFrame


#: By name of the table: title and caption, in the order of the page.
TABLES = {
    "copies": (
        "Altered copies",
        "The same pictures through the same model. Copies in gray or in another stain show what it knows of structure; "
        "spoilt ones should not be accepted.",
    ),
    "species": (
        "Across species",
        "Organs that several species have; balanced accuracy among just these. For a model trained on one species the "
        "row of another one is a test on other slides and other animals.",
    ),
    "contract": (
        "What recall could be promised",
        "With these pictures as calibration set: the highest recall that the pictures of an organ allow to promise "
        "with 90 % confidence for exchangeable pictures, and the share of pictures of other organs flagged too.",
    ),
    "prediction_sets": (
        "Prediction sets",
        "How often the set holds the true organ, and how many organs it names on average.",
    ),
    "leaks": (
        "Leaks",
        "Scored pictures that have a twin, or pictures of the same group (slide, patient), outside the scored part.",
    ),
    "by_organ": ("By organ", "Means over the pictures of each organ; error rates over its cells; 95 % intervals."),
    "per_class": ("Each organ", "Recall, precision, F1 and area under the ROC curve with 95 % intervals."),
}


def write_evaluation_page(evaluation: Evaluation, folder: str | Path) -> Path:
    """Write `evaluation.html` to a folder that exists.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    target = Path(folder) / PAGE_NAME
    with atomic_path(target) as temporary:
        temporary.write_text(render_evaluation_page(evaluation), encoding="utf-8", errors="replace")
    return target


def render_evaluation_page(evaluation: Evaluation) -> str:
    """The page as HTML that needs no other file; every text from outside is escaped."""
    environment = page_environment()
    environment.filters["shown"] = shown
    return environment.get_template("evaluation.html.j2").render(
        evaluation=evaluation,
        created=datetime.now(UTC),
        organscope_version=__version__,
        drawings=draw_figures(evaluation),
        tables=table_entries(evaluation),
        max_rows=MAX_ROWS,
        data_uri=data_uri,
    )


def draw_figures(evaluation: Evaluation) -> list[Drawing]:
    """The figures that the tables of an evaluation allow."""
    tables = evaluation.tables
    plots = []
    if "auc" in tables.get("per_class", ()):
        caption = (
            "Each organ's recall and precision; the number of its pictures stands beside the name. Where all of few "
            "pictures are right, resampling them shows no doubt, though there is some."
        )
        plots.append(("per-class", "Organs", caption, partial(figures.plot_per_class, tables["per_class"])))
    if "confusion" in tables:
        caption = "How many of each organ were named what; the shade is the share of the row."
        plots.append(("confusion", "Confusion", caption, partial(figures.plot_confusion, tables["confusion"])))
    if "reliability" in tables:
        caption = "Where probabilities mean what they say, points lie on the line."
        unit = "answers for single cells" if "cells" in tables else "pictures"
        plot = partial(figures.plot_reliability, tables["reliability"], unit=unit)
        plots.append(("reliability", "Reliability", caption, plot))
    if "risk_coverage" in tables:
        caption = "Abstaining from the least sure answers; the dashed line is without abstaining."
        plot = partial(figures.plot_risk_coverage, tables["risk_coverage"])
        plots.append(("risk-coverage", "Risk and coverage", caption, plot))
    if "net_benefit" in tables:
        caption = (
            "True positives a picture that acting at a threshold is worth, false alarms taken off at the price that "
            "the threshold implies (Vickers and Elkin 2006). The organs with the most pictures."
        )
        frequent = evaluation.per_image["organ"].value_counts().index.tolist()
        plot = partial(figures.plot_net_benefit, tables["net_benefit"], frequent)
        plots.append(("net-benefit", "Net benefit", caption, plot))
    return [draw(*plot) for plot in plots]


def table_entries(evaluation: Evaluation) -> Sequence[TableEntry]:
    """The tables that the page shows, in order."""
    return [
        TableEntry(title, caption, evaluation.tables[name])
        for name, (title, caption) in TABLES.items()
        if name in evaluation.tables
    ]


def shown(value: object) -> str:
    """A value for a table: whole numbers as they are, others with three decimals, a dash where there is none."""
    if isinstance(value, bool | str):
        return str(value)
    if pd.isna(value):
        return "–"
    return f"{value:,d}" if isinstance(value, int) else f"{value:.3f}"
