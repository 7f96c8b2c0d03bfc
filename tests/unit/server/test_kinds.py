"""Own kinds of cells: a few are named, all others follow."""

import io

import numpy as np
import pandas as pd
import pytest

from organscope.server.analysis import cells_of
from organscope.server.kinds import NOT_SURE, features_of, kinds_of


@pytest.fixture
def table(finished) -> pd.DataFrame:
    """The cells of a real image."""
    client, _, image = finished
    return cells_of(client.app.state.settings.result_folder(image))


@pytest.fixture
def truth(table) -> dict[int, str]:
    """Kinds that the table does not name: by what half of the measures are above their median, weighted."""
    scaled = features_of(table)[["mean_intensity_0", "mean_intensity_2"]].sum(axis=1)
    return dict(zip(table["id"], np.where(scaled > scaled.median(), "pale", "dark"), strict=True))


def some(truth: dict[int, str], n: int) -> dict[int, str]:
    """The first n cells of each kind."""
    return {cell: kind for want in ("pale", "dark") for cell, kind in [p for p in truth.items() if p[1] == want][:n]}


def test_others_follow_a_few_named_cells(table, truth):
    named = some(truth, 8)
    columns = kinds_of(table, named).as_columns().set_index("id")
    rest = [cell for cell in truth if cell not in named]
    answers = columns.loc[rest, "kind"]
    sure = answers[answers != NOT_SURE]
    assert len(sure) > 0.5 * len(rest)
    assert np.mean([truth[cell] == kind for cell, kind in sure.items()]) > 0.85
    assert columns.loc[list(named), "kind"].to_dict() == named
    assert (columns.loc[list(named), "kind_probability"] == 1).all()


def test_the_model_asks_for_cells_that_it_is_least_sure_of(table, truth):
    named = some(truth, 8)
    found = kinds_of(table, named)
    probability = dict(zip(found.ids.tolist(), found.probability, strict=True))
    asked = [probability[cell] for cell in found.asked]
    assert len(set(found.asked)) == len(found.asked) == 6
    assert not set(found.asked) & set(named)
    assert max(asked) < np.median(list(probability.values()))


def test_named_cells_are_judged_by_models_that_did_not_see_them(table, truth):
    assert kinds_of(table, some(truth, 4)).right is None
    right, n = kinds_of(table, some(truth, 10)).right
    assert n == 20
    assert 14 <= right <= 20
    mixed = dict(zip(some(truth, 10), np.random.default_rng(0).permutation(["pale"] * 10 + ["dark"] * 10), strict=True))
    assert kinds_of(table, mixed).right[0] < 17, "names by chance are not learned"


def test_one_kind_names_nobody_else(table):
    found = kinds_of(table, {1: "dark"})
    assert found.as_columns()["kind"].tolist().count("dark") == 1
    assert found.asked == ()


def test_cells_of_other_images_teach_too(table, truth):
    half = len(table) // 2
    first, second = table.iloc[:half], table.iloc[half:]
    named = some({cell: truth[cell] for cell in first["id"]}, 8)
    columns = kinds_of(second, {}, [(first, named)]).as_columns()
    sure = columns[columns["kind"] != NOT_SURE]
    assert np.mean([truth[row.id] == row.kind for row in sure.itertuples()]) > 0.8


def test_names_are_kept_undone_and_taken_away(finished):
    client, study, image = finished
    said = {"action": "name_cell", "cells": [1, 2], "organ": "=plasma"}
    assert client.post(f"/api/images/{image}/corrections", json=said).json()["now"]["kinds"] == {
        "1": "=plasma", "2": "=plasma",
    }  # fmt: skip
    client.post(f"/api/images/{image}/corrections", json={"action": "name_cell", "cells": [3], "organ": "stroma"})
    assert (
        client.post(f"/api/images/{image}/corrections", json={"action": "name_cell", "cells": [3]}).status_code == 422
    )
    header = client.get(f"/api/images/{image}/kinds").content[4:200]
    assert b'"kind"' in header
    cells = pd.read_csv(io.BytesIO(client.get(f"/api/images/{image}/files/cells.csv").content)).set_index("id")
    assert cells.loc[[1, 2, 3], "kind"].tolist() == ["'=plasma", "'=plasma", "stroma"]
    assert "kind" in client.get(f"/api/studies/{study}/tables/cells.csv").text.partition("\n")[0]
    client.post(f"/api/images/{image}/corrections", json={"action": "unname_cell", "cells": [2]})
    assert client.post(f"/api/images/{image}/undo").json()["now"]["kinds"]["2"] == "=plasma"
    client.post(f"/api/images/{image}/corrections", json={"action": "unname_cell", "cells": [1, 2, 3]})
    assert "kind" not in pd.read_csv(io.BytesIO(client.get(f"/api/images/{image}/files/cells.csv").content))
