"""Results of one image, as held in memory and as stored; image-level and cell-level predictions combined.

How a run decided, beside its predictions, so that they can be decided on again.

What the cells of an image say together, and whether the whole image says the same.

The result of one image as text, so that a run that goes on can tell of what it did not do again.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64, Int64
from pydantic import BaseModel, ConfigDict, ValidationError

from organscope.decision import Decision, JointCalibration, Policy, Rules, decide
from organscope.decision.trust import CellsTrust
from organscope.errors import DatasetError
from organscope.inference import CellOrgans, Classification, Scale
from organscope.io.paths import atomic_path
from organscope.io.selection import Selection
from organscope.ops.pixel_size import PixelSize, pixel_area_um2
from organscope.pipeline.ihc import DabCounts, DabSettings
from organscope.pipeline.kind_counts import KindCounts
from organscope.pipeline.models import Models
from organscope.pipeline.plan import Target


class StoredPolicy(BaseModel):
    """What `policy.json` holds beside `predictions.csv`.

    Attributes:
        bundle: Name and version of the bundle that gave the probabilities; of both, where image and cells did.
        bundle_sha256: Of its manifest; of those of both.
        organs: Its classes.
        policy: How to decide on them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle: str
    bundle_sha256: str
    organs: tuple[str, ...]
    policy: Policy


def write_policy(path: Path, models: Models) -> None:
    """Write what `decide_again` needs to know of the bundles of a run.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(stored_policy(models).model_dump_json(indent=2) + "\n", "utf-8")


def stored_policy(models: Models) -> StoredPolicy:
    """What of the bundles decides; one for images must be among them."""
    deciding = [models.organs] if models.together is None else [models.organs, models.cell_organs]
    sha256 = deciding[0].sha256
    if len(deciding) > 1:
        sha256 = hashlib.sha256("".join(bundle.sha256 for bundle in deciding).encode()).hexdigest()
    return StoredPolicy(
        bundle=" with ".join(bundle.manifest.title for bundle in deciding),
        bundle_sha256=sha256,
        organs=tuple(models.organs.manifest.classes),
        # Looks are judged where pixels are; the doubt that they left is in the predictions.
        policy=models.policy.model_copy(update={"quality": None}),
    )


def read_policy(path: Path) -> StoredPolicy:
    """What an earlier run wrote.

    Raises:
        DatasetError: There is no such file, or it is none of ours.
    """
    try:
        return StoredPolicy.model_validate(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise DatasetError(
            f"Expected the policy of the run in {path}, found no such file. Name the bundle that it used with --bundle."
        ) from None
    except (OSError, ValueError, ValidationError) as error:
        sentence = str(error).splitlines()[0]
        raise DatasetError(
            f"Expected the policy of the run in {path}, found: {sentence}. Name the bundle with --bundle."
        ) from None


_Agreement = Literal["agree", "disagree", "unsure", "no cells"]
"""Of the image as a whole and its cells together: `unsure` where they name different organs, but at least one of both
answers is not to be relied on anyway; `disagree` where both are."""

NO_CELLS = "no cell was found in it, and its organ is named from the image and its cells together"

_SETTLED = 0.6
"""An answer of image and cells together that is at least this probable settles a contradiction between them."""


@dataclass(frozen=True)
class CellAnswer:
    """The organs of the cells of one image, without the cells.

    Attributes:
        organs: The classes of the bundle for cells.
        counts: How many cells each organ is the most probable one of.
        pooled: Probability of each organ from all cells together; None without cells.
        decision: The organ that the cells name together, and whether to rely on it; None without cells.
        agreement: With the answer for the image as a whole, before the cells were heard.
        image_organ: That answer.
        image_confidence: Its probability.
    """

    organs: tuple[str, ...]
    counts: Int64[np.ndarray, " organ"]
    pooled: Float64[np.ndarray, " organ"] | None
    decision: Decision | None
    agreement: _Agreement
    image_organ: str
    image_confidence: float

    @property
    def organ(self) -> str:
        """The organ that the cells name together; empty without cells."""
        return "" if self.decision is None else self.organs[self.decision.organ_index]


def answer_of_cells(found: CellOrgans, whole: Classification) -> CellAnswer:
    """Keep of the cells of an image what its page and its row in a table say."""
    counts = np.bincount(found.organ_index, minlength=len(found.organs)).astype(np.int64)
    return answer_of_counts(found.organs, counts, found.pooled, found.decision, whole)


def answer_of_counts(
    organs: tuple[str, ...],
    counts: Int64[np.ndarray, " organ"],
    pooled: Float64[np.ndarray, " organ"] | None,
    decision: Decision | None,
    whole: Classification,
) -> CellAnswer:
    """The same where the cells are too many to hold; see `CellAnswer`."""
    image_organ = whole.organs[whole.decision.organ_index]
    agreement = _agreement(organs, decision, whole)
    return CellAnswer(organs, counts, pooled, decision, agreement, image_organ, float(whole.decision.confidence))


def combine_with_cells(
    whole: Classification, cells: CellAnswer, together: JointCalibration | None = None, rules: Rules | None = None
) -> Classification:
    """Combine the image-level and cell-level predictions.

    It is that of both where they were calibrated beside each other, else that of the image as a whole. It is abstained
    from where both contradict each other with confidence, unless the answer of both settles it, and where both should
    answer and there is no cell.

    Args:
        whole: The answer of the image as a whole.
        cells: That of its cells, and whether they agree.
        together: How both decide; the bundles know the same organs.
        rules: What is asked of the answer of both.
    """
    contradiction = _contradiction(cells) if cells.agreement == "disagree" else ""
    decision = whole.decision
    if together is None:
        if not contradiction:
            return whole
        doubted = replace(decision, decision="abstain", reason=contradiction, doubt=contradiction)
        return replace(whole, decision=doubted)
    probabilities, missing = whole.probabilities, NO_CELLS
    if cells.pooled is not None:
        in_order = cells.pooled[[cells.organs.index(organ) for organ in whole.organs]]
        probabilities, missing = together.probabilities(probabilities[None], in_order[None])[0], ""
    unsettled = contradiction if probabilities.max() < _SETTLED else ""
    doubt = "; ".join(part for part in (decision.doubt, unsettled, missing) if part)
    decided = decide(probabilities, decision.distance, together.policy, doubt=doubt, rules=rules)
    return replace(whole, probabilities=probabilities, decision=decided)


def _contradiction(cells: CellAnswer) -> str:
    return (
        f"the whole image says {cells.image_organ} (probability {cells.image_confidence:.2f}), its cells "
        f"together say {cells.organ} ({cells.decision.confidence:.2f})"
    )


def cells_row(cells: CellAnswer) -> dict[str, str | float | None]:
    """What an image and its cells say, each alone, as the summary and the JSON of an analysis hold it."""
    return {
        "image_organ": cells.image_organ,
        "image_confidence": cells.image_confidence,
        "cells_organ": cells.organ or None,
        "cells_confidence": None if cells.decision is None else float(cells.decision.confidence),
        "agreement": cells.agreement,
    }


def _agreement(organs: tuple[str, ...], decision: Decision | None, whole: Classification) -> _Agreement:
    if decision is None:
        return "no cells"
    if whole.organs[whole.decision.organ_index] == organs[decision.organ_index]:
        return "agree"
    both = whole.decision.decision == decision.decision == "accept"
    return "disagree" if both else "unsure"


@dataclass(frozen=True)
class ImageResult:
    """One image that was finished.

    Attributes:
        target: The image and where its results are.
        height_px: Rows at full resolution.
        width_px: Columns at full resolution.
        um_per_px: Height and width of a pixel, None where unknown.
        seconds: From opening the file to the last result on disk.
        areas_px: Area of every cell in pixels, of a slide an even sample of them, rising; None where cells were not
            asked for.
        classification: The organ; None where it was not asked for.
        cell_answer: What the cells say together; None where the organ of each cell was not named.
        scale: How the network that found the cells saw the image; None where cells were not asked for.
        trust: What its cells are worth; None where cells were not asked for, or the bundle cannot tell.
        kinds: How many cells of each kind it has; None where kinds were not asked for.
        dab: Its positive cells; None where they were not asked for.
        cell_count: Number of cells where `areas_px` is a sample.
        fields_by_organ: In how many fields of a slide each organ is the most probable; None for other images.
        selection: Which image, page, plane and channel of the file was read.
        notes: What a person should know of the result, in full sentences: what was chosen of the file because nobody
            chose it, cells that were cut.
    """

    target: Target
    height_px: int
    width_px: int
    um_per_px: PixelSize | None
    seconds: float
    areas_px: np.ndarray | None = None
    classification: Classification | None = None
    cell_answer: CellAnswer | None = None
    scale: Scale | None = None
    trust: CellsTrust | None = None
    kinds: KindCounts | None = None
    dab: DabCounts | None = None
    cell_count: int | None = None
    fields_by_organ: np.ndarray | None = None
    selection: Selection = field(default_factory=Selection)
    notes: tuple[str, ...] = ()

    @property
    def kind_rows(self) -> list[dict[str, Any]]:
        """One row a kind of cell: count, share with interval, density; see `KindCounts.rows`."""
        return [] if self.kinds is None else self.kinds.rows((self.height_px, self.width_px), self.um_per_px)

    @property
    def megapixels(self) -> float:
        return self.height_px * self.width_px / 1e6

    @property
    def n_cells(self) -> int | None:
        if self.cell_count is not None:
            return self.cell_count
        return None if self.areas_px is None else int(self.areas_px.size)

    @property
    def median_area_px(self) -> float | None:
        return float(np.median(self.areas_px)) if self.areas_px is not None and self.areas_px.size else None

    @property
    def median_area_um2(self) -> float | None:
        if self.median_area_px is None or self.um_per_px is None:
            return None
        return self.median_area_px * pixel_area_um2(self.um_per_px)


@dataclass(frozen=True)
class Failure:
    """One input or result file that failed.

    Attributes:
        name: The image as the person named it, or the file that could not be written.
        message: One sentence: what was expected, what was found, what to do.
        trace: The traceback of an error that nobody foresaw; empty for all others.
    """

    name: str
    message: str
    trace: str = ""


@dataclass(frozen=True)
class RunResult:
    """Everything a run did.

    Attributes:
        out: The output folder.
        images: Finished images in the order of the work.
        failures: What failed, in the order of the work.
        files: Files about the whole run that were written, such as `summary.csv`.
        seconds: Duration of the run without loading the bundles.
        peak_memory_mb: The most memory that each process has held, added up.
    """

    out: Path
    images: tuple[ImageResult, ...]
    failures: tuple[Failure, ...]
    files: tuple[Path, ...]
    seconds: float
    peak_memory_mb: float

    @property
    def seconds_per_megapixel(self) -> float | None:
        megapixels = sum(image.megapixels for image in self.images)
        return sum(image.seconds for image in self.images) / megapixels if megapixels else None


def result_as_text(result: ImageResult) -> str:
    """Everything that tables and report say of it; logits, features and evidence are left out."""
    classified, cells = result.classification, result.cell_answer
    plain = ("height_px", "width_px", "um_per_px", "seconds", "cell_count")
    data = {name: getattr(result, name) for name in plain}
    data |= {
        "selection": asdict(result.selection),
        "notes": list(result.notes),
        "source": str(result.target.source),
        "stem": result.target.stem.as_posix(),
        "areas_px": _array(result.areas_px),
        "fields_by_organ": _array(result.fields_by_organ),
        "scale": None if result.scale is None else asdict(result.scale),
        "trust": None if result.trust is None else asdict(result.trust),
        "dab": None if result.dab is None else asdict(result.dab),
        "kinds": None if result.kinds is None else asdict(result.kinds),
        "classification": None,
        "cell_answer": None,
    }
    if classified is not None:
        data["classification"] = {
            "organs": classified.organs,
            "probabilities": _array(classified.probabilities),
            "decision": _decision(classified.decision),
        }
    if cells is not None:
        data["cell_answer"] = {
            "organs": cells.organs,
            "counts": _array(cells.counts),
            "pooled": _array(cells.pooled),
            "decision": _decision(cells.decision),
            "agreement": cells.agreement,
            "image_organ": cells.image_organ,
            "image_confidence": float(cells.image_confidence),
        }
    return json.dumps(data)


def result_from_text(text: str) -> ImageResult:
    """What `result_as_text` was given, without what it leaves out."""
    data = json.loads(text)
    target = Target(Path(data.pop("source")), Path(data.pop("stem")))
    data["selection"], data["notes"] = Selection(**data["selection"]), tuple(data["notes"])
    classified, cells, scale = (data.pop(name) for name in ("classification", "cell_answer", "scale"))
    trust, kinds, dab = (data.pop(name, None) for name in ("trust", "kinds", "dab"))
    for name in ("areas_px", "fields_by_organ"):
        data[name] = _from_array(data[name])
    data["um_per_px"] = None if data["um_per_px"] is None else tuple(data["um_per_px"])
    result = ImageResult(target, **data)
    if scale is not None:
        result = replace(result, scale=Scale(**scale | {"stretch": tuple(scale["stretch"])}))
    if dab is not None:
        tuples = {name: tuple(dab[name]) for name in ("n_cells", "positive", "h_score")}
        result = replace(result, dab=DabCounts(**dab | tuples | {"settings": DabSettings(**dab["settings"])}))
    if kinds is not None:
        as_tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in kinds.items()}
        result = replace(result, kinds=KindCounts(**as_tuples))
    if trust is not None:
        result = replace(result, trust=CellsTrust(**trust | {"reasons": tuple(trust["reasons"])}))
    if classified is not None:
        result = replace(result, classification=_classification(classified))
    if cells is not None:
        answer = CellAnswer(
            tuple(cells["organs"]),
            _from_array(cells["counts"]),
            _from_array(cells["pooled"]),
            _from_decision(cells["decision"]),
            cells["agreement"],
            cells["image_organ"],
            cells["image_confidence"],
        )
        result = replace(result, cell_answer=answer)
    return result


def _classification(data: dict[str, Any]) -> Classification:
    organs = tuple(data["organs"])
    return Classification(
        organs=organs,
        probabilities=_from_array(data["probabilities"]),
        logits=np.zeros((0, len(organs)), np.float32),
        features=np.zeros((0, 0), np.float32),
        decision=_from_decision(data["decision"]),
    )


def _decision(decision: Decision | None) -> dict[str, Any] | None:
    if decision is None:
        return None
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in asdict(decision).items()}
    return plain | {"prediction_set": [int(number) for number in decision.prediction_set]}


def _from_decision(data: dict[str, Any] | None) -> Decision | None:
    return None if data is None else Decision(**{**data, "prediction_set": tuple(data["prediction_set"])})


def _array(values: np.ndarray | None) -> dict[str, Any] | None:
    return None if values is None else {"dtype": values.dtype.str, "values": values.tolist()}


def _from_array(data: dict[str, Any] | None) -> np.ndarray | None:
    return None if data is None else np.array(data["values"], data["dtype"])
