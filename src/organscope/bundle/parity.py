"""The parity certificate: how far the answers of a bundle depend on what computes them.

Made on real pictures where the bundle was trained; `parity.json` travels with it.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from organscope.errors import IntegrityError

PARITY_FILE = "parity.json"

Kind = Literal["framework", "int8", "tiles", "threads"]

WORDS: dict[str, str] = {
    "framework": "framework against ONNX",
    "int8": "floating point against 8-bit integers",
    "tiles": "tiles against the whole",
    "threads": "1 thread against 2",
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Comparison(_Part):
    """Two ways to compute the same answers.

    Attributes:
        kind: Which two.
        n_images: Pictures that both were shown.
        largest_difference: Of a probability: of a pixel's maps for segmentation, of an organ for classification.
        unit: What is counted: cells that are outlined or named, or images that are named.
        n_units: How many the first way gave.
        n_changed: Of these, cells with another outline, or cells and images with another organ.
        n_lost: Cells of either way that match none of the other at an IoU of .5.
        scores: Of the second way less the first, by metric.
        note: What else to know.
    """

    kind: Kind
    n_images: int = Field(ge=1)
    largest_difference: float = Field(ge=0)
    unit: Literal["cells", "images"]
    n_units: int = Field(ge=0)
    n_changed: int = Field(ge=0)
    n_lost: int = Field(0, ge=0)
    scores: dict[str, float] = Field(default_factory=dict)
    note: str = ""


class Certificate(_Part):
    """What was compared, on which pictures, and with what.

    Attributes:
        pictures: In words.
        made_with: Versions and processor, by name.
        comparisons: In the order in which they are shown.
    """

    pictures: str
    made_with: dict[str, str]
    comparisons: list[Comparison]


def parse_certificate(content: bytes, where: str) -> Certificate:
    """Read a `parity.json`.

    Raises:
        IntegrityError: It is no certificate.
    """
    try:
        return Certificate.model_validate_json(content)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise IntegrityError(
            f"Expected {PARITY_FILE} of {where} to be a parity certificate, found: {fault['msg']} at "
            f"{'.'.join(str(part) for part in fault['loc']) or 'its root'}. Certify the bundle again."
        ) from None


def certificate_in_words(certificate: Certificate) -> list[str]:
    """A heading, and a line a comparison."""
    return [f"Parity, on {certificate.pictures}", *(f"  {_line(comparison)}" for comparison in certificate.comparisons)]


def _line(found: Comparison) -> str:
    name = WORDS[found.kind] + (f" ({found.note})" if found.note else "")
    if found.largest_difference == 0 and found.n_changed == 0:
        return f"{name}: the same to the last digit"
    changed = f"{found.n_changed} of {found.n_units} {found.unit} changed"
    lost = f" ({found.n_lost} lost or new)" if found.unit == "cells" and found.n_lost else ""
    # Adding zero takes the sign from a zero.
    scores = "".join(f", {metric} {round(difference, 4) + 0.0:+.4f}" for metric, difference in found.scores.items())
    return f"{name}: probabilities within {found.largest_difference:.1e}; {changed}{lost}{scores}"
