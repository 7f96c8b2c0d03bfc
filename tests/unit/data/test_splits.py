"""Folds: groups whole, organs alike, the same everywhere."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from organscope.data.splits import draw_folds, fold_fractions, regroup, split_table
from organscope.errors import UnknownNameError, UsageError


def table_of(organs: list[str], groups: list[str] | None = None, split: str | list[str] = "") -> pd.DataFrame:
    names = [f"{n:03d}" for n in range(len(organs))]
    images = [f"slide{n // 2}_tile{n % 2}.tif" for n in range(len(organs))]
    return pd.DataFrame({"id": names, "image": images, "organ": organs, "group": groups or names, "split": split})


@settings(max_examples=50)
@given(
    groups=st.lists(st.tuples(st.integers(0, 15), st.integers(0, 3)), min_size=8, max_size=80),
    n_folds=st.integers(2, 5),
    seed=st.integers(0, 3),
)
def test_groups_stay_whole_and_rows_may_come_in_any_order(groups, n_folds, seed):
    names, organs = [str(group) for group, _ in groups], [str(organ) for _, organ in groups]
    folds = draw_folds(names, organs, fold_fractions(n_folds, None), seed)
    assert set(folds) <= set(range(1, n_folds + 1))
    assert pd.DataFrame({"group": names, "fold": folds}).groupby("group")["fold"].nunique().max() == 1
    turned = draw_folds(names[::-1], organs[::-1], fold_fractions(n_folds, None), seed)
    np.testing.assert_array_equal(turned[::-1], folds)


def test_every_organ_and_the_whole_are_divided_by_the_shares():
    organs = ["liver"] * 40 + ["lung"] * 20 + ["skin"] * 20
    drawn = split_table(table_of(organs), n_folds=4, holdout=0.25)
    counts = pd.crosstab(drawn["organ"], drawn["fold"])
    assert (abs(counts.loc["liver"] - 10) <= 1).all()
    assert (abs(counts.loc["lung"] - 5) <= 1).all()
    assert (drawn["fold"].value_counts() == 20).all()


def test_organs_with_few_slides_still_reach_the_held_out_fold():
    organs = [f"organ {n}" for n in range(40)]
    drawn = split_table(table_of(organs), holdout=0.15)
    assert (drawn["fold"] == 1).sum() == 6


def test_the_draw_never_changes():
    """These folds decide what shipped weights have seen: another draw would make their scores meaningless."""
    table = table_of(["liver", "lung"] * 6)
    assert split_table(table, seed=0)["fold"].tolist() == [3, 2, 1, 2, 3, 1, 4, 4, 2, 3, 4, 1]
    assert split_table(table, seed=0)["fold"].tolist() != split_table(table, seed=1)["fold"].tolist()


def test_a_delivered_test_part_is_fold_1():
    table = table_of(["liver"] * 12, split=["test"] * 3 + ["train"] * 9)
    drawn = split_table(table, n_folds=4)
    assert drawn["fold"].tolist()[:3] == [1, 1, 1]
    assert sorted(drawn["fold"][3:].unique()) == [2, 3, 4]
    with pytest.raises(UsageError, match="mix-test"):
        split_table(table, holdout=0.2)
    mixed = split_table(table, holdout=0.25, keep_test=False)
    assert (mixed["fold"] == 1).sum() == 3
    assert set(mixed["split"]) == {""}


def test_impossible_wishes_are_refused():
    table = table_of(["liver"] * 6, groups=["a", "b"] * 3)
    with pytest.raises(UsageError, match="groups"):
        split_table(table, n_folds=3)
    with pytest.raises(UsageError, match=r"0\.15"):
        split_table(table, holdout=15)
    with pytest.raises(UsageError, match="2 folds"):
        split_table(table, n_folds=1)


def test_groups_from_a_column_or_from_the_file_name():
    table = table_of(["liver", "liver", "lung", "lung"])
    assert regroup(table, "organ")["group"].tolist() == ["liver", "liver", "lung", "lung"]
    assert regroup(table, r"(slide\d+)_")["group"].tolist() == ["slide0", "slide0", "slide1", "slide1"]
    assert regroup(table, r"tile\d")["group"].tolist() == ["tile0", "tile1"] * 2
    with pytest.raises(UsageError, match="do not match"):
        regroup(table, "slide0")
    with pytest.raises(UnknownNameError, match="regular expression"):
        regroup(table, "(slide")
