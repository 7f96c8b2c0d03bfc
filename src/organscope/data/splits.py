"""Folds: grouped, stratified by organ, seeded, and the same on every machine.

Fold 1 is the one that is only scored; the others train. A group (slide, patient) is never divided.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pandas as pd

from organscope.data.index import Index
from organscope.errors import UnknownNameError, UsageError

_DEFAULT_N_FOLDS = 4


def fold_fractions(n_folds: int, holdout: float | None) -> list[float]:
    """The share of the images that each fold should have; all alike, or `holdout` in fold 1.

    Raises:
        UsageError: Fewer than 2 folds, or a holdout outside of (0, 1).
    """
    if n_folds < 2:
        raise UsageError(f"Expected at least 2 folds, found {n_folds}. Fold 1 is scored, the others train.")
    if holdout is None:
        return [1 / n_folds] * n_folds
    if not 0 < holdout < 1:
        raise UsageError(f"Expected a holdout between 0 and 1 (0.15 is 15 %), found {holdout}.")
    return [holdout] + [(1 - holdout) / (n_folds - 1)] * (n_folds - 1)


def draw_folds(groups: Sequence[str], organs: Sequence[str], fractions: Sequence[float], seed: int = 0) -> np.ndarray:
    """Assign each sample to a fold 1..k, a group always as a whole.

    The groups are laid in a row, organ by organ; each in turn goes to the fold that is furthest behind its
    share of what was laid so far. Any run of the row, so every organ and the whole, is then divided close to
    `fractions`, also where an organ has fewer groups than there are folds. The order (of organs, and of
    equally large groups within an organ) comes from SHA-256 of seed and name: it does not depend on the order
    of the rows, on the platform or on the version of a random generator.

    Args:
        groups: One name a sample.
        organs: One name a sample; a group that has several counts with its most frequent one.
        fractions: The share of each fold; they sum to 1.
        seed: Another seed gives another draw.

    Returns:
        int64, one fold number a sample.
    """
    organs_of = defaultdict(Counter)
    for group, organ in zip(groups, organs, strict=True):
        organs_of[group][organ] += 1
    sizes = {group: counts.total() for group, counts in organs_of.items()}
    main_organ = {group: min(counts, key=lambda o: (-counts[o], o)) for group, counts in organs_of.items()}
    row = sorted(sizes, key=lambda name: (_draw(seed, main_organ[name]), -sizes[name], _draw(seed, name)))
    share = np.asarray(fractions)
    filled = np.zeros(len(share))
    fold_of = {}
    n_laid = 0
    for name in row:
        n_laid += sizes[name]
        fold = int(np.argmax(np.round(share * n_laid - filled, 9)))
        filled[fold] += sizes[name]
        fold_of[name] = fold + 1
    return np.array([fold_of[group] for group in groups], np.int64)


def _draw(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}\0{name}".encode()).hexdigest()


def check_split(
    table: pd.DataFrame, *, n_folds: int | None = None, holdout: float | None = None, keep_test: bool = True
) -> list[float]:
    """The shares of the folds that are drawn: of all, or of folds 2..n where the test part is fold 1.

    Raises:
        UsageError: The numbers are impossible, there are too few groups, or there is a `holdout` for a set with its
            own test part.
    """
    n_folds = _DEFAULT_N_FOLDS if n_folds is None else n_folds
    fractions = fold_fractions(n_folds, holdout)
    is_test = (table["split"] == "test") & keep_test
    if is_test.any():
        _require_no_holdout(holdout)
        fractions = [1 / (n_folds - 1)] * (n_folds - 1)
    n_groups = table["group"][~is_test].nunique()
    if n_groups < len(fractions):
        raise UsageError(
            f"Expected at least {len(fractions)} groups to fill the folds, found {n_groups}. "
            "Ask for fewer folds (--folds) or define smaller groups (--group)."
        )
    return fractions


def _require_no_holdout(holdout: float | None) -> None:
    if holdout is not None:
        raise UsageError(
            "Expected no --holdout: this set was delivered with its own test part, which is fold 1. "
            "To draw over both parts: organscope data split --mix-test."
        )


def split_table(
    table: pd.DataFrame,
    *,
    n_folds: int | None = None,
    holdout: float | None = None,
    seed: int = 0,
    keep_test: bool = True,
) -> pd.DataFrame:
    """A copy of an index table with new folds.

    Args:
        table: Columns `group`, `organ` and `split` of an index.
        n_folds: Number of folds; None makes 4.
        holdout: Share of fold 1; None makes all folds alike.
        seed: Another seed gives another draw.
        keep_test: Samples that were delivered as "test" are fold 1, the rest is drawn into folds 2..n. Else
            all are drawn, and `split` is emptied.

    Raises:
        UsageError: Too few groups for the folds, or `holdout` for a set that has its own test part.
    """
    fractions = check_split(table, n_folds=n_folds, holdout=holdout, keep_test=keep_test)
    is_test = (table["split"] == "test").to_numpy() & keep_test
    drawn = table[~is_test]
    folds = np.ones(len(table), np.int64)
    first = 2 if is_test.any() else 1
    folds[~is_test] = draw_folds(drawn["group"], drawn["organ"], fractions, seed) + (first - 1)
    return table.assign(fold=folds, split=table["split"] if keep_test else "")


def regroup(table: pd.DataFrame, group: str) -> pd.DataFrame:
    """A copy of an index table with groups from a column, or from a regular expression on the image path.

    Args:
        table: An index table.
        group: Name of a column ("organ", "id"), or an expression such as `(patient\\d+)_`: its first bracket,
            or all that it matches, is the group.

    Raises:
        UnknownNameError: Neither a column nor a valid expression.
        UsageError: The expression does not match every image.
    """
    if group in table.columns:
        return table.assign(group=table[group].astype(str))
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise UnknownNameError(
            f"Expected a column ({', '.join(table.columns)}) or a regular expression, found {group!r} ({error})."
        ) from error
    found = [pattern.search(path) for path in table["image"]]
    unmatched = [path for path, match in zip(table["image"], found, strict=True) if match is None]
    if unmatched:
        raise UsageError(
            f"Expected {group!r} to match every image path; {len(unmatched)} do not match, such as {unmatched[0]}."
        )
    return table.assign(group=[match.group(1 if pattern.groups else 0) for match in found])


def split_index(
    index: Index,
    *,
    group: str | None = None,
    n_folds: int | None = None,
    holdout: float | None = None,
    seed: int = 0,
    keep_test: bool = True,
) -> Index:
    """The index with new folds, and with new groups where `group` is given; see `split_table` and `regroup`."""
    table = index.table if group is None else regroup(index.table, group)
    return Index(index.folder, split_table(table, n_folds=n_folds, holdout=holdout, seed=seed, keep_test=keep_test))
