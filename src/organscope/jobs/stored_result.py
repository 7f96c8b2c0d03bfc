"""The result of one image as text, so that a run that goes on can tell of what it did not do again."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from organscope.decide import Decision
from organscope.images.selection import Selection
from organscope.jobs.cell_answer import CellAnswer
from organscope.jobs.plan import Target
from organscope.jobs.result import ImageResult
from organscope.predict import Classification, Scale


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
    for name in ("areas_px", "fields_by_organ"):
        data[name] = _from_array(data[name])
    data["um_per_px"] = None if data["um_per_px"] is None else tuple(data["um_per_px"])
    result = ImageResult(target, **data)
    if scale is not None:
        result = replace(result, scale=Scale(**scale | {"stretch": tuple(scale["stretch"])}))
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
