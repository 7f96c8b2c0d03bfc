"""The same as a report in Weights & Biases: curves, search, figures and samples of a project."""

import logging
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from organscope.errors import UsageError
from organscope.tracking.base import STEP_LOSS

_NAME = re.compile(r"^[\w.-]+/[\w. -]+$")
_MAIN = ("validation/pq", "validation/balanced_accuracy", "validation/accuracy", "validation/nll", "train/loss")
_OF_THE_RUN = "run"
"""Table of the config that `tracking` fills with facts; they are no settings."""

_MOST_RUNS = 500
_MOST_CURVES = 8
_MOST_AXES = 8
_WIDE, _HALF, _THIRD, _HIGH = 24, 12, 8, 9


@dataclass(frozen=True)
class _Project:
    """What the runs of a project hold.

    Attributes:
        n_runs: How many were read.
        metrics: Names of metrics, sorted.
        settings: Settings that differ between runs, as paths such as `fit.learning_rate`; numbers first.
        numbers: Those of them that are numbers.
        images: Names of figures and samples.
    """

    n_runs: int
    metrics: tuple[str, ...]
    settings: tuple[str, ...]
    numbers: tuple[str, ...]
    pictures: tuple[str, ...]

    @property
    def main(self) -> str:
        """The metric that settings are judged by."""
        return next((name for name in _MAIN if name in self.metrics), self.metrics[0])


def build_report(place: str) -> str:
    """Write the report into a project that has runs; its address.

    Args:
        place: `ENTITY/PROJECT`.

    Raises:
        UsageError: The place has another form, W&B does not answer or refuses, or the project has no run.
        ModuleNotFoundError: wandb or wandb-workspaces is not installed.
    """
    if not _NAME.match(place):
        raise UsageError(f"Expected ENTITY/PROJECT for the report, found {place!r}.")
    entity, _, name = place.partition("/")
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    logging.getLogger("wandb").setLevel(logging.CRITICAL)
    import wandb
    import wandb_workspaces.reports.v2 as reports

    try:
        project = survey_project(wandb.Api().runs(place, per_page=100, lazy=False))
        if not project.n_runs:
            raise UsageError(f"Expected runs in {place}, found none. Train with --track wandb first.")
        report = _new_report(reports, entity, name, project)
        report.save()
        return report.url
    except (wandb.errors.Error, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UsageError(f"Expected the project {place} of W&B, found: {reason}. Log in with: wandb login.") from error


def survey_project(runs: Iterable[Any]) -> _Project:
    """Read what there is to show."""
    seen: dict[str, set[str]] = {}
    metrics, images, n_runs = set(), set(), 0
    for run in runs:
        n_runs += 1
        for name, value in _leaves(run.config):
            if name.partition(".")[0] != _OF_THE_RUN:
                seen.setdefault(name, set()).add(repr(value))
        for name, value in run.summary_metrics.items():
            if isinstance(value, Mapping) and value.get("_type") == "image-file":
                images.add(name)
            elif isinstance(value, int | float) and "/" in name:
                metrics.add(name)
        if n_runs == _MOST_RUNS:
            break
    varied = sorted(name for name, values in seen.items() if len(values) > 1)
    numbers = [name for name in varied if all(_is_number(value) for value in seen[name])]
    ordered = [*numbers, *(name for name in varied if name not in numbers)]
    return _Project(n_runs, tuple(sorted(metrics)), tuple(ordered), tuple(numbers), tuple(sorted(images)))


def _new_report(reports: Any, entity: str, name: str, project: _Project) -> Any:
    """The report, not yet saved.

    Args:
        reports: The module `wandb_workspaces.reports.v2`.
        entity: Of the project; `name` is the project's.
        project: What its runs hold.
    """
    parts = [("Learning curves", _curves(reports, project)), ("Settings", _settings(reports, project))]
    parts += [("Search", _search(reports, project)), ("Figures and sample predictions", _images(reports, project))]
    blocks = [
        reports.P(f"Made by organscope dashboard from {project.n_runs} runs. Figures follow the runs by themselves.")
    ]
    for title, panels in parts:
        if panels:
            runs = reports.Runset(entity=entity, project=name, name="runs")
            blocks += [reports.H2(title), reports.PanelGrid(runsets=[runs], panels=panels)]
    return reports.Report(
        entity=entity,
        project=name,
        title=f"{name}: runs side by side",
        description="Learning curves, settings, search, figures and samples of organscope.",
        blocks=blocks,
        width="fluid",
    )


def _curves(reports: Any, project: _Project) -> list[Any]:
    first = [name for name in ("train/loss", *_MAIN) if name in project.metrics]
    others = [name for name in project.metrics if name not in first and name != STEP_LOSS]
    names = list(dict.fromkeys([*first, *others]))[:_MOST_CURVES]
    panels = [
        reports.LinePlot(title=name, x="epoch", y=[name], layout=_layout(reports, place, _HALF))
        for place, name in enumerate(names)
    ]
    if STEP_LOSS in project.metrics:
        layout = _layout(reports, len(panels), _HALF)
        panels.append(reports.LinePlot(title=STEP_LOSS, x="step", y=[STEP_LOSS], log_y=True, layout=layout))
    return panels


def _settings(reports: Any, project: _Project) -> list[Any]:
    return [reports.RunComparer(diff_only="split", layout=_layout(reports, 0, _WIDE))] if project.settings else []


def _search(reports: Any, project: _Project) -> list[Any]:
    if not project.settings or not project.metrics:
        return []
    main = project.main
    columns = [
        reports.ParallelCoordinatesPlotColumn(metric=metric)
        for metric in [*(reports.Config(name) for name in project.settings[:_MOST_AXES]), reports.SummaryMetric(main)]
    ]
    panels = [
        reports.ParallelCoordinatesPlot(
            title=f"Settings and {main}", columns=columns, layout=_layout(reports, 0, _WIDE)
        ),
        reports.ParameterImportancePlot(with_respect_to=main, layout=_layout(reports, 2, _HALF)),
        reports.ScatterPlot(
            title=f"{main} against seconds an epoch",
            x=reports.SummaryMetric("seconds_per_epoch"),
            y=reports.SummaryMetric(main),
            layout=_layout(reports, 3, _HALF),
        ),
    ]
    for place, name in enumerate(project.numbers[:_MOST_AXES], start=6):
        axes = {"x": reports.Config(name), "y": reports.SummaryMetric(main)}
        panels.append(reports.ScatterPlot(title=name, **axes, layout=_layout(reports, place, _THIRD)))
    return panels


def _images(reports: Any, project: _Project) -> list[Any]:
    return [
        reports.MediaBrowser(title=name, media_keys=[name], num_columns=3, layout=_layout(reports, place, _HALF))
        for place, name in enumerate(project.pictures)
    ]


def _layout(reports: Any, place: int, width: int) -> Any:
    in_a_row = _WIDE // width
    return reports.Layout(x=width * (place % in_a_row), y=_HIGH * (place // in_a_row), w=width, h=_HIGH)


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        elif not str(key).startswith("_"):
            yield f"{prefix}{key}", value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
