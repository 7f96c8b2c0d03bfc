"""What the bundles say of one image, as people work with it in Python: cells, organ, both; decide again, save."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from jaxtyping import Int32

from organscope.decision import decide, describe_guarantee
from organscope.decision.costs import CostsLike
from organscope.decision.trust import CellsTrust
from organscope.errors import UsageError
from organscope.inference import Sizing
from organscope.io import Image
from organscope.io.image import MAX_HELD_PX, hold_image
from organscope.io.paths import result_stem
from organscope.ops.polygons import cell_polygons
from organscope.pipeline.given_labels import labels_from_array
from organscope.pipeline.ihc import DabSettings
from organscope.pipeline.image import Answer, answer_image, write_answer
from organscope.pipeline.measures import require_measures
from organscope.pipeline.models import Models, with_rules
from organscope.pipeline.notebook import cells_html, organ_html
from organscope.pipeline.outputs import write_run_files
from organscope.pipeline.plan import Plan, Target, prepare_output
from organscope.pipeline.results import RunResult
from organscope.pipeline.spatial import SpatialCells, image_facts
from organscope.pipeline.status import require_idle

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData


@dataclass(frozen=True)
class Answered:
    """One image, and what the bundles said of it."""

    answer: Answer
    models: Models
    target: Target
    seconds: float = 0.0

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know: what was chosen in reading the image, and how the network saw it."""
        found = [*self.answer.notes]
        if self.answer.cells is not None and self.answer.cells.scale is not None and self.answer.cells.scale.note:
            found.append(self.answer.cells.scale.note)
        if self.models.few_misses is not None:
            found.append(self.models.few_misses.sentence)
        return tuple(found)

    def save(self, out: str | Path) -> RunResult:
        """Write what the command line writes for this image.

        Raises:
            OutputError: The folder cannot be written.
            UsageError: Another process writes into it.
        """
        out = Path(out)
        require_idle(out)
        prepare_output(out)
        write_answer(out / self.target.stem, self.answer)
        image = self.answer.result(self.target, self.seconds)
        files, failures = write_run_files(Plan(out, (self.target,)), self.models, (image,), ())
        return RunResult(out, (image,), tuple(failures), tuple(files), self.seconds, 0.0)


@dataclass(frozen=True, repr=False)
class Segmentation:
    """The cells of one image. `len(cells)` is how many, `numpy.asarray(cells)` their label image.

    Example:
        >>> cells = organscope.segment("slide.png")  # doctest: +SKIP
        >>> cells.table[["area_px", "probability"]].describe()  # doctest: +SKIP
    """

    _answered: Answered = field(repr=False)

    @property
    def labels(self) -> Int32[np.ndarray, "y x"]:
        """int32 (y, x): 0 is background, 1 to n the cells in raster order; given labels as they are."""
        return self._answered.answer.cells.labels

    @property
    def name(self) -> str:
        """Name of the image without its suffix: that of its result folder."""
        return self._answered.target.stem.name

    @property
    def table(self) -> pd.DataFrame:
        """One row a cell, in order of label, as in `cells.csv`: centroid, area, shape, intensities, probability."""
        return self._answered.answer.cells.table

    @property
    def dab(self) -> pd.Series | None:
        """Positive cells: `positive_share` and `h_score` with intervals, cells of each grade, and the threshold.

        None where they were not asked for.
        """
        counts = self._answered.answer.dab
        return None if counts is None else pd.Series(counts.row())

    @property
    def kinds(self) -> pd.DataFrame | None:
        """Kinds of the cells, one row each: `kind`, `n_cells`, `n_sure`, `share` with its interval, `per_mm2`.

        None where they were not asked for.
        """
        result = self._answered.answer.result(self._answered.target, 0.0)
        return None if result.kinds is None else pd.DataFrame(result.kind_rows)

    @property
    def trust(self) -> CellsTrust | None:
        """Whether to rely on the cells, and why not; None where the model cannot tell."""
        return self._answered.answer.cells.trust

    @cached_property
    def polygons(self) -> list[Any]:
        """One valid shapely geometry a cell in pixels x, y, holes included; a MultiPolygon where it is in parts."""
        return cell_polygons(self.labels)

    def to_anndata(self) -> "AnnData":
        """One observation a cell, with measures, classes and centers; see `organscope.pipeline.spatial`.

        Raises:
            MissingExtraError: The extra [spatial] is not installed.
        """
        return self._spatial().to_anndata()

    def to_spatialdata(self) -> "SpatialData":
        """Image, labels, outlines and table; see `organscope.pipeline.spatial`.

        Raises:
            MissingExtraError: The extra [spatial] is not installed.
        """
        image = self._answered.answer.image
        return self._spatial().to_spatialdata(self.labels, self.polygons, image.displayed(image.read_whole()))

    def _spatial(self) -> SpatialCells:
        answer = self._answered.answer
        facts = image_facts(answer.classification)
        return SpatialCells(self.name, self.table, answer.cells.um_per_px, facts)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was chosen or guessed on the way, in full sentences."""
        return self._answered.notes

    def save(self, out: str | Path) -> RunResult:
        """Write what `organscope segment` writes for this image.

        Raises:
            OutputError: The folder cannot be written.
        """
        return self._answered.save(out)

    def __len__(self) -> int:
        return len(self.table)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        labels = self.labels if dtype is None else self.labels.astype(dtype, copy=False)
        if copy is False and labels is not self.labels:
            raise ValueError("Expected a type that needs no copy, found another: the labels are int32.")
        return labels.copy() if copy else labels

    def __repr__(self) -> str:
        height, width = self.labels.shape
        return f"Segmentation({len(self):,} cells in {height} x {width} px)"

    def _repr_html_(self) -> str:
        return cells_html(self._answered.answer, self.notes)


@dataclass(frozen=True, repr=False)
class OrganPrediction:
    """The organ of one image, and whether to rely on it."""

    _answered: Answered = field(repr=False)

    @property
    def label(self) -> str:
        """The most probable organ, or that of the least expected cost; also where the answer is to abstain."""
        return self._names[self._decision.organ_index]

    @property
    def confidence(self) -> float:
        """Its calibrated probability, in [0, 1]."""
        return float(self._decision.confidence)

    @property
    def accepted(self) -> bool:
        """Whether to rely on it; False means: I don't know."""
        return self._decision.decision == "accept"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not; empty where it is accepted."""
        return tuple(part for part in self._decision.reason.split("; ") if part)

    @property
    def prediction_set(self) -> tuple[str, ...]:
        """Organs that cannot be ruled out, the most probable first; empty where the model makes no sets."""
        return tuple(self._names[number] for number in self._decision.prediction_set)

    @property
    def flagged(self) -> bool | None:
        """Whether it may be the organ that must not be missed; None where no such organ was named."""
        return self._decision.flagged

    @property
    def promise(self) -> tuple[str, ...]:
        """What is promised for the organ that must not be missed, and its price, in sentences."""
        promise = self._answered.models.rules.promise
        return () if promise is None else describe_guarantee(promise)

    @cached_property
    def probabilities(self) -> pd.Series:
        """The probability of every organ, the highest first."""
        values = pd.Series(self._answered.answer.classification.probabilities, self._names, name="probability")
        return values.sort_values(ascending=False, kind="stable")

    @property
    def notes(self) -> tuple[str, ...]:
        """What was chosen or guessed on the way, in full sentences."""
        return self._answered.notes

    def decide(
        self,
        *,
        costs: CostsLike | None = None,
        target_class: str | None = None,
        min_recall: float | None = None,
    ) -> Self:
        """Decide again without running a network; see `organscope.decision`."""
        return type(self)(_decided_again(self._answered, costs, target_class, min_recall))

    def save(self, out: str | Path) -> RunResult:
        """Write what `organscope classify` writes for this image.

        Raises:
            OutputError: The folder cannot be written.
        """
        return self._answered.save(out)

    @property
    def _decision(self) -> Any:
        return self._answered.answer.classification.decision

    @property
    def _names(self) -> list[str]:
        return list(self._answered.answer.classification.organs)

    def __repr__(self) -> str:
        said = "accepted" if self.accepted else f"not accepted: {'; '.join(self.reasons)}"
        return f"OrganPrediction({self.label!r}, confidence {self.confidence:.2f}, {said})"

    def _repr_html_(self) -> str:
        return organ_html(self)


@dataclass(frozen=True, repr=False)
class Analysis:
    """Cells and organ of one image, decided jointly."""

    _answered: Answered = field(repr=False)

    @cached_property
    def cells(self) -> Segmentation:
        """The cells; its table has the organ that each looks like where a model names it."""
        only = replace(self._answered.models, organs=None, cell_organs=None)
        return Segmentation(replace(self._answered, models=only))

    @cached_property
    def organ(self) -> OrganPrediction:
        """The organ that image and cells name together."""
        return OrganPrediction(self._answered)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was chosen or guessed on the way, in full sentences."""
        return self._answered.notes

    def decide(
        self,
        *,
        costs: CostsLike | None = None,
        target_class: str | None = None,
        min_recall: float | None = None,
    ) -> Self:
        """Decide again without running a network; see `organscope.decision`."""
        return type(self)(_decided_again(self._answered, costs, target_class, min_recall))

    def save(self, out: str | Path) -> RunResult:
        """Write what `organscope analyze` writes for this image, byte for byte except for times.

        Raises:
            OutputError: The folder cannot be written.
        """
        return self._answered.save(out)

    def to_anndata(self) -> "AnnData":
        """See `Segmentation.to_anndata`; `uns` says the organ of the image too."""
        return self.cells.to_anndata()

    def to_spatialdata(self) -> "SpatialData":
        """See `Segmentation.to_spatialdata`."""
        return self.cells.to_spatialdata()

    def __repr__(self) -> str:
        return f"Analysis({self.cells!r}, {self.organ!r})"

    def _repr_html_(self) -> str:
        return organ_html(self.organ) + cells_html(self._answered.answer, self.notes)


def answer_now(
    opened: Image,
    models: Models,
    sizing: Sizing,
    labels: Any = None,
    measures: Sequence[str] | str = (),
    dab: DabSettings | None = None,
) -> Answered:
    """Apply the bundles to an open image, which may be closed afterwards.

    Args:
        opened: The image.
        models: A bundle for each answer that is wanted.
        sizing: How large cells are.
        labels: Its cells, where they are not to be searched for.
        measures: More that is measured.
        dab: What makes a cell positive; None where positive cells are not counted.

    Raises:
        InputError: The image cannot be used.
        UsageError: It is too large to hold.
    """
    started = time.perf_counter()
    wanted = require_measures(measures)
    _require_holdable(opened)
    target = Target(opened.path, Path(result_stem(opened.path)))
    given = None if labels is None else labels_from_array(labels, opened)
    answer = answer_image(hold_image(opened), models, sizing=sizing, labels=given, measures=wanted, dab=dab)
    return Answered(answer, models, target, time.perf_counter() - started)


def _require_holdable(image: Image) -> None:
    if image.height_px * image.width_px > MAX_HELD_PX:
        raise UsageError(
            f"Expected an image of at most {MAX_HELD_PX / 1e6:.0f} megapixels, which is held in memory, found "
            f"{image.height_px * image.width_px / 1e6:,.0f} in {image.path}. Use organscope.run(path, out), which "
            "works on it by region, or analyze a part: image.read(y, x, height, width)."
        )


def _decided_again(
    answered: Answered,
    costs: CostsLike | None,
    target_class: str | None,
    min_recall: float | None,
) -> Answered:
    models = with_rules(answered.models, positive=target_class, min_recall=min_recall, costs=costs)
    known = answered.answer.classification
    before = known.decision
    decision = decide(known.probabilities, before.distance, models.policy, doubt=before.doubt, rules=models.rules)
    decided = replace(known, decision=decision)
    return replace(answered, models=models, answer=replace(answered.answer, classification=decided))
