"""Sweeps: what their studies say, and the figures that the sweep itself draws."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from organscope.dashboard.stores import STUDY_FILE, Stamp, stamp_of
from organscope.errors import UsageError
from organscope.reporting.dataset_figures import THEMES, Theme
from organscope.sweep.plots import to_svg
from organscope.sweep.space import Space, read_written_space

#: One at a time: the settings of Matplotlib belong to the whole process.
_DRAWING = threading.Lock()


@dataclass(frozen=True)
class _Shown:
    """A sweep as it is shown.

    Attributes:
        facts: What a person wants to know at a glance, with its name each.
        table: See `sweep.table.trial_table`.
        figures: Title, caption and drawing of each, see `sweep.page.sweep_figures`.
        drawn: SVG by place and theme, of those that were asked for.
    """

    facts: list[tuple[str, str]]
    table: pd.DataFrame
    figures: list[tuple[str, str, Callable[[Theme], Any]]]
    drawn: dict[tuple[int, str], bytes] = field(default_factory=dict)


class SweepStore:
    """The study of one sweep.

    Args:
        folder: Of the sweep.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.space: Space = read_written_space(folder)
        self._stamp: Stamp | None = None
        self._shown: _Shown | None = None

    @property
    def address(self) -> str:
        """As Optuna and its dashboard want it."""
        return f"sqlite:///{self.folder / STUDY_FILE}"

    @property
    def stamp(self) -> Stamp:
        """Changes with the study."""
        return stamp_of([self.folder / STUDY_FILE])

    def summary(self) -> dict[str, Any]:
        """What is known without reading the study."""
        space = self.space
        return {
            "name": space.name,
            "folder": str(self.folder),
            "task": space.task,
            "objectives": [{"metric": aim.metric, "direction": aim.direction} for aim in space.objectives],
            "parameters": list(space.parameters),
        }

    def shown(self) -> _Shown:
        """Facts, trials and what can be drawn; read again only where the study changed.

        Raises:
            UsageError: The study cannot be read.
        """
        with _DRAWING:
            stamp = self.stamp
            if stamp != self._stamp or self._shown is None:
                self._shown = self._read()
                self._stamp = stamp
            return self._shown

    def figure(self, place: int, theme: str) -> bytes | None:
        """A figure as SVG, in the light or in the dark; None where there is none."""
        shown, themes = self.shown(), {known.name: known for known in THEMES}
        if not 0 <= place < len(shown.figures) or theme not in themes:
            return None
        with _DRAWING:
            if (place, theme) not in shown.drawn:
                shown.drawn[place, theme] = to_svg(shown.figures[place][2], themes[theme])
            return shown.drawn[place, theme]

    def _read(self) -> _Shown:
        from organscope.sweep.report import sweep_data, sweep_facts, sweep_figures
        from organscope.sweep.study import opened_storage, trial_table

        with opened_storage(self.address) as storage:
            try:
                study = _load(storage, self.space.name)
                table = trial_table(study, self.space)
                figures = sweep_figures(sweep_data(study, self.space, table)) if len(table) else []
                return _Shown(sweep_facts(self.space, table), table, figures)
            finally:
                storage.remove_session()
                storage.engine.dispose()


def _load(storage: Any, name: str) -> Any:
    import optuna

    try:
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        raise UsageError(f"Expected the study {name!r} in its storage, found none. It has not begun yet.") from None


def trial_records(shown: _Shown, space: Space) -> list[dict[str, Any]]:
    """One record a trial, the best first; what is unknown is None."""
    first = space.objectives[0]
    table = shown.table.sort_values(
        ["best", first.metric], ascending=[False, first.direction == "minimize"], na_position="last"
    )
    table = table.astype(object)
    return table.where(table.notna(), None).to_dict("records")
