"""Costs of mistakes, and the Bayes-optimal decision under a cost matrix.

The answer that costs least on average, where mistakes differ in price.

Find an organ by the name that a person typed.
"""

import csv
import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float, Float64, Int
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from organscope.errors import ConfigError, ShapeError, UnknownNameError, UsageError, ValueRangeError

CostsLike = str | os.PathLike | Mapping[str, Any]
"""What `costs_from` understands: a file, or a dictionary."""


def expected_costs(
    probabilities: Float[np.ndarray, "n c"], costs: Float[np.ndarray, "a _"]
) -> Float[np.ndarray, "n a"]:
    """Average cost of each answer to each image.

    Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001, equation 1.

    Args:
        probabilities: Calibrated; each row sums to 1.
        costs: `costs[i, j]` is the price of answer i where class j is true. There may be more answers than
            classes: a last row of equal prices is the price of abstaining.

    Raises:
        ShapeError: Costs and probabilities have different numbers of classes.
        ValueRangeError: A cost is not finite.
    """
    if costs.shape[1] != probabilities.shape[1]:
        raise ShapeError(
            f"Expected one cost a class ({probabilities.shape[1]} columns), found {costs.shape[1]}. "
            "Give the matrix one row an answer and one column a true class."
        )
    if not np.isfinite(costs).all():
        raise ValueRangeError("Expected finite costs, found infinity or not-a-number. Use a large number instead.")
    return probabilities.astype(np.float64) @ costs.astype(np.float64).T


def least_cost_answers(
    probabilities: Float[np.ndarray, "n c"], costs: Float[np.ndarray, "a _"]
) -> Int[np.ndarray, " n"]:
    """Index of the cheapest answer to each image; of equal ones the first."""
    return expected_costs(probabilities, costs).argmin(axis=1)


def organ_number(organs: Sequence[str], name: str) -> int:
    """Place of an organ among the classes; upper and lower case, blanks and underscores do not matter.

    Raises:
        UnknownNameError: There is no such organ; names those that are near.
    """
    plain = [_plain(organ) for organ in organs]
    if _plain(name) in plain:
        return plain.index(_plain(name))
    near = difflib.get_close_matches(_plain(name), plain, n=3, cutoff=0.5)
    known = [organs[plain.index(match)] for match in near] or list(organs)
    hint = f"Did you mean {' or '.join(known)}?" if near else f"There are: {', '.join(known)}."
    raise UnknownNameError(f"Expected an organ that the bundle knows, found '{name}'. {hint}")


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").lower().split())


_ABSTAIN = "abstain"
_Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Costs:
    """Prices of answers.

    Attributes:
        matrix: `matrix[i, j]` is the price of answer i where organ j is true. The last row is abstaining where
            `can_abstain`; the others are the organs.
        can_abstain: Abstaining has a price.
    """

    matrix: Float64[np.ndarray, "a c"]
    can_abstain: bool


class CostTable(BaseModel):
    """What a TOML file of costs may say.

    Attributes:
        mistake: Price of naming a wrong organ where nothing else is said.
        abstain: Price of no answer; none where the bundle's own limits say when to abstain.
        miss: By organ: how many times worse it is to miss this organ than any other mistake.
        pair: By true organ, then by the organ that was named: the price of just this mistake.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mistake: _Cost = 1.0
    abstain: _Cost | None = None
    miss: dict[str, _Cost] = Field(default_factory=dict)
    pair: dict[str, dict[str, _Cost]] = Field(default_factory=dict)


def read_costs(path: Path, organs: Sequence[str]) -> Costs:
    """Read a cost matrix: TOML as in `CostTable`, or CSV with a row an answer and a column a true organ.

    In a CSV file the first column names the answer, an organ or `abstain`. What it leaves out costs 0 where the answer
    is right and 1 where it is wrong; abstaining has no price where there is no such row.

    Raises:
        ConfigError: The file cannot be read, has an unknown key, or a price that is no number from 0.
        UnknownNameError: An organ is unknown; names those that are near.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Expected a file of costs, found that {path} cannot be read ({error}).") from None
    return _from_csv(text, organs, path) if path.suffix.lower() == ".csv" else _from_toml(text, organs, path)


def costs_from(given: object, organs: Sequence[str]) -> Costs:
    """Costs from a file, or from a dictionary with the keys of `CostTable`, where an organ's name is short for `miss`.

    `{"melanoma": 20, "abstain": 0.5}` makes it 20 times worse to miss a melanoma than any other mistake, and abstaining
    half as bad as one.

    Raises:
        UsageError: It is neither.
        ConfigError: It has a fault, see `read_costs`.
        UnknownNameError: An organ is unknown; names those that are near.
    """
    if isinstance(given, str | os.PathLike):
        return read_costs(Path(given), organs)
    if not isinstance(given, Mapping):
        raise UsageError(
            "Expected costs as a dictionary such as {'melanoma': 20} or as a file of TOML or CSV, "
            f"found {type(given).__name__}."
        )
    known = {name: value for name, value in given.items() if name in CostTable.model_fields}
    missed = {str(name): value for name, value in given.items() if name not in known}
    try:
        table = CostTable.model_validate(known | {"miss": {**known.get("miss", {}), **missed}})
    except (ValidationError, TypeError) as error:
        raise ConfigError(_fault(error, "the dictionary of costs")) from None
    return costs_of(table, organs)


def costs_of(table: CostTable, organs: Sequence[str]) -> Costs:
    """The matrix that a table of costs describes.

    Raises:
        UnknownNameError: An organ is unknown; names those that are near.
    """
    matrix = table.mistake * (1 - np.eye(len(organs)))
    for name, times in table.miss.items():
        matrix[:, organ_number(organs, name)] *= times
    for truth, answers in table.pair.items():
        for answer, price in answers.items():
            matrix[organ_number(organs, answer), organ_number(organs, truth)] = price
    if table.abstain is None:
        return Costs(matrix, can_abstain=False)
    return Costs(np.vstack([matrix, np.full(len(organs), table.abstain)]), can_abstain=True)


def _from_toml(text: str, organs: Sequence[str], path: Path) -> Costs:
    try:
        table = CostTable.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"Expected {path} to be TOML, found: {error}. A matrix of CSV must end in .csv.") from None
    except ValidationError as error:
        raise ConfigError(_fault(error, str(path))) from None
    return costs_of(table, organs)


def _fault(error: ValidationError | TypeError, where: str) -> str:
    known = f"Known keys are {', '.join(CostTable.model_fields)}."
    if isinstance(error, TypeError):
        return f"Expected costs in {where}, found: {error}. {known}"
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    return f"Expected costs in {where}, found '{key}': {first['msg']}. {known}"


def _from_csv(text: str, organs: Sequence[str], path: Path) -> Costs:
    rows = [row for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)]
    if len(rows) < 2 or len(rows[0]) < 2:
        raise ConfigError(f"Expected a row of true organs and a row an answer in {path}, found {len(rows)} rows.")
    truths = [organ_number(organs, cell.strip()) for cell in rows[0][1:]]
    matrix = 1 - np.eye(len(organs))
    abstaining = None
    for row in rows[1:]:
        prices = [_price(cell, path) for cell in row[1:]]
        if len(prices) != len(truths):
            raise ConfigError(f"Expected {len(truths)} prices for '{row[0]}' in {path}, found {len(prices)}.")
        if row[0].strip().lower() == _ABSTAIN:
            # An organ that the file does not speak of costs the dearest price to abstain from.
            abstaining = np.full(len(organs), max(prices))
            abstaining[truths] = prices
        else:
            matrix[organ_number(organs, row[0].strip()), truths] = prices
    if abstaining is None:
        return Costs(matrix, can_abstain=False)
    return Costs(np.vstack([matrix, abstaining]), can_abstain=True)


def _price(cell: str, path: Path) -> float:
    try:
        price = float(cell)
    except ValueError:
        price = np.nan
    if not (np.isfinite(price) and price >= 0):
        raise ConfigError(f"Expected prices from 0 in {path}, found '{cell.strip()}'.")
    return price
