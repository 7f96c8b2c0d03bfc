"""The bundles that a run applies, one a task.

Models as another process loads them: by the paths of their bundles, with threads of its own.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from organscope.decision import JointCalibration, Policy, Rules, rules_for
from organscope.decision.costs import CostsLike
from organscope.errors import UsageError
from organscope.inference import OperatingPoint, choose_operating_point
from organscope.inference.cell_kinds import CELL_KINDS
from organscope.inference.preprocess import require_task
from organscope.models import Bundle, load_bundle
from organscope.models.bundle import shipped_names

SEGMENTATION = "segmentation"
CLASSIFICATION = "classification"
_CELL_CLASSIFICATION = "classification of cells"
_DEFAULT_BUNDLES = {SEGMENTATION: "nuclei", CLASSIFICATION: "organs"}
_CELL_ORGANS = "cell-organs"


@dataclass(frozen=True)
class Models:
    """Loaded bundles; None where the run does not need it, or has none.

    Attributes:
        cells: Finds the cells.
        organs: Names the organ of an image.
        cell_organs: Names the organ of each cell; only beside both others.
        rules: What mistakes cost and which organ of an image must not be missed.
        few_misses: How faint a cell may be; None for the bundle's own threshold.
        cell_kinds: Names the kind of each cell.
        cells_given: Cells are not searched for, because labels are given.
    """

    cells: Bundle | None = None
    organs: Bundle | None = None
    cell_organs: Bundle | None = None
    rules: Rules = field(default_factory=Rules)
    few_misses: OperatingPoint | None = None
    cells_given: bool = False
    cell_kinds: Bundle | None = None

    @property
    def has_cells(self) -> bool:
        """Whether results tell of cells."""
        return self.cells is not None or self.cells_given

    @property
    def faint_threshold(self) -> float | None:
        """For `organscope.inference.segment_image`."""
        return None if self.few_misses is None else self.few_misses.faint_threshold

    @property
    def together(self) -> JointCalibration | None:
        """How an image and its cells decide together; None where they were not calibrated beside each other."""
        if self.organs is None or self.cell_organs is None:
            return None
        found = self.cell_organs.manifest.classification.together
        fits = found is not None and found.image_bundle == self.organs.manifest.title
        return found if fits else None

    @property
    def policy(self) -> Policy:
        """What decides on the organ of an image; there must be a bundle for it."""
        return self.organs.policy if self.together is None else self.together.policy

    @property
    def image_rules(self) -> Rules | None:
        """Rules for the answer of an image before its cells are heard: none where these help to decide."""
        return self.rules if self.together is None else None

    def loaded(self) -> list[Bundle]:
        """The bundles that take part."""
        return [bundle for bundle in (self.cells, self.organs, self.cell_organs, self.cell_kinds) if bundle is not None]


def with_rules(
    models: Models,
    *,
    positive: str | None = None,
    min_recall: float | None = None,
    costs: CostsLike | None = None,
) -> Models:
    """The same models, which decide by what a person asks for; see `organscope.decision.rules_for`.

    Raises:
        UsageError: The organ is unknown, the costs have a fault, or nothing can be promised.
    """
    if models.organs is None:
        return models
    organs = models.organs.manifest.classes
    rules = rules_for(models.policy, organs, positive=positive, min_recall=min_recall, costs=costs)
    return replace(models, rules=rules)


def at_operating_point(models: Models, min_recall: float | None) -> Models:
    """The same models, which find at least this share of the cells, as measured on held-out images.

    Raises:
        UsageError: The bundle for cells has no table to choose from, or reaches no such recall.
    """
    if min_recall is None or models.cells is None:
        return models
    return replace(models, few_misses=choose_operating_point(models.cells, min_recall))


def with_cell_kinds(
    models: Models,
    name: str | os.PathLike | Bundle | None,
    *,
    threads: int | None = None,
    load: Callable[..., Bundle] = load_bundle,
) -> Models:
    """The same models, which name the kind of each cell too; as they are where no bundle is given.

    Raises:
        UsageError: The bundle is for something else.
        UnknownNameError: There is no bundle of that name.
        BundleError: It is damaged.
    """
    if name is None:
        return models
    bundle = name if isinstance(name, Bundle) else load(name, threads=threads)
    require_task(bundle, CELL_KINDS)
    return replace(models, cell_kinds=bundle)


def load_models(
    tasks: Sequence[str],
    names: Sequence[str | Path | Bundle] = (),
    *,
    threads: int | None = None,
    load: Callable[..., Bundle] = load_bundle,
    cells_given: bool = False,
) -> Models:
    """Load one bundle for each task; a task that no given bundle is for takes the one inside the package.

    Where cells are found and organs are named, the organ of each cell is named too: with a given bundle for cells,
    or with `cell-organs` of the package if there is one and it knows the same organs as the bundle for images.

    Args:
        tasks: `segmentation`, `classification` or both.
        names: Bundles, or their names or paths; each says by its manifest which task it is for.
        threads: Processor threads for each network; all cores where None.
        load: Opens a bundle by its name or path.
        cells_given: Labels are given, so that no bundle for segmentation is needed.

    Raises:
        UsageError: A bundle is for a task that the run does not have, or two are for one task.
        UnknownNameError: There is no bundle of that name.
        BundleError: A bundle is damaged.
    """
    chosen: dict[str, Bundle] = {}
    open_bundle = partial(load, threads=threads)
    for name in names:
        bundle = name if isinstance(name, Bundle) else open_bundle(name)
        task = _task_of(bundle)
        _require_wanted(bundle.manifest.name if isinstance(name, Bundle) else str(name), task, tasks)
        if task in chosen:
            raise UsageError(f"Expected one bundle for {task}, found two: give --bundle once for each task.")
        chosen[task] = bundle
    if cells_given and SEGMENTATION in chosen:
        raise UsageError(
            f"Expected no bundle that finds cells beside given labels, found {chosen[SEGMENTATION].manifest.name}. "
            "Leave one of both out."
        )
    for task in tasks:
        if task not in chosen and not (cells_given and task == SEGMENTATION):
            chosen[task] = open_bundle(_DEFAULT_BUNDLES[task])
    cell_organs = chosen.get(_CELL_CLASSIFICATION)
    if cell_organs is None and _can_name_cells(tasks):
        cell_organs = _shipped_for_cells(chosen[CLASSIFICATION], open_bundle)
    return Models(chosen.get(SEGMENTATION), chosen.get(CLASSIFICATION), cell_organs, cells_given=cells_given)


def _task_of(bundle: Bundle) -> str:
    spec = bundle.manifest.spec
    is_for_cells = spec.task == CLASSIFICATION and spec.subject == "cell"
    return _CELL_CLASSIFICATION if is_for_cells else spec.task


def _can_name_cells(tasks: Sequence[str]) -> bool:
    return SEGMENTATION in tasks and CLASSIFICATION in tasks


def _require_wanted(name: str, task: str, tasks: Sequence[str]) -> None:
    if task in tasks or (task == _CELL_CLASSIFICATION and _can_name_cells(tasks)):
        return
    remedy = "Choose another with --bundle; `organscope bundle list` shows those inside the package."
    if task == _CELL_CLASSIFICATION:
        remedy = "The organ of each cell is named by `organscope analyze --bundle`, which finds the cells first."
    if task == CELL_KINDS:
        remedy = "Give it with --cell-kinds (cell_kinds=... in Python) beside the bundle that finds the cells."
    raise UsageError(f"Expected a bundle for {' or '.join(tasks)}, found '{name}', which is for {task}. {remedy}")


def _shipped_for_cells(organs: Bundle, open_bundle: Callable[[str], Bundle]) -> Bundle | None:
    """The package's bundle for cells, unless its organs are others: then all that it said would be a contradiction."""
    if _CELL_ORGANS not in shipped_names():
        return None
    bundle = open_bundle(_CELL_ORGANS)
    return bundle if set(bundle.manifest.classes) == set(organs.manifest.classes) else None


@dataclass(frozen=True)
class PortableModels:
    """What `Models` holds, small enough to be sent.

    Attributes:
        bundles: Absolute path by the name of its field in `Models`.
        threads: For each network; one a core where None.
        rules: As in `Models`.
        few_misses: As in `Models`.
        cells_given: As in `Models`.
    """

    bundles: dict[str, Path]
    threads: int | None
    rules: Rules
    few_misses: OperatingPoint | None
    cells_given: bool

    @cached_property
    def loaded(self) -> Models:
        """The models in this process, read and checked at first use.

        Raises:
            UnknownNameError: A bundle does not exist on this machine.
            BundleError: A bundle is damaged.
        """
        bundles = {name: load_bundle(path, threads=self.threads) for name, path in self.bundles.items()}
        return Models(**bundles, rules=self.rules, few_misses=self.few_misses, cells_given=self.cells_given)


def portable(models: Models, threads: int | None) -> PortableModels:
    """The same models for other processes, each with so many threads."""
    bundles = {
        "cells": models.cells,
        "organs": models.organs,
        "cell_organs": models.cell_organs,
        "cell_kinds": models.cell_kinds,
    }
    paths = {name: bundle.source.absolute() for name, bundle in bundles.items() if bundle is not None}
    return PortableModels(paths, threads, models.rules, models.few_misses, models.cells_given)
