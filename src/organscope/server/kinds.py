"""Own kinds of cells by clicking: a person names some cells of a study, and all others follow.

A logistic regression on standardized measures of the table of cells, fitted anew at every click. It learns from the
named cells of all images of the study.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from organscope.server.analysis import cells_of
from organscope.server.corrections import Corrected, corrected_cells, corrected_in_study
from organscope.server.database import Database
from organscope.server.settings import Settings

#: Columns that say where a cell is or what another model thinks of it, not what it looks like.
_NO_FEATURES = frozenset(
    {
        "id",
        "organ",
        "organ_probability",
        "probability",
        "touches_border",
        "edited",
        "marked",
        "kind_probability",
        "kind_sure",
    }
)
_PLACES = ("centroid_",)
#: Of the same measure in pixels and in micrometers, one is enough; pixels are there in every image.
_DOUBLES = ("_um", "_um2")
#: Below this probability of the likeliest kind a cell is not named.
SURE_FROM = 0.7
NOT_SURE = "not sure"
KIND_COLUMNS = ("kind", "kind_probability")
#: So many cells are offered to be named next, from so many that the model is least sure of.
_N_ASKED, _N_UNSURE = 6, 60
_FOLDS = 5
_SEED = 0


@dataclass(frozen=True)
class Kinds:
    """The kinds of all cells of one image.

    Attributes:
        names: Kinds that were named, in order of name.
        ids: Numbers of the cells.
        codes: Of each cell the place of its kind in `names`; -1 where the model is not sure.
        probability: Of the likeliest kind of each cell; 1 for cells that a person named.
        asked: Numbers of the cells whose names would help most, the most useful first.
        right: Named cells of the study that are named right when they are left out of the fit, and of how many; None
            where a kind has too few.
    """

    names: tuple[str, ...]
    ids: Int64[np.ndarray, " n"]
    codes: Int64[np.ndarray, " n"]
    probability: Float64[np.ndarray, " n"]
    asked: tuple[int, ...] = ()
    right: tuple[int, int] | None = None

    def as_columns(self) -> pd.DataFrame:
        """One row a cell: `id`, `kind` (or `not sure`), `kind_probability`."""
        words = np.array([*self.names, NOT_SURE], object)
        return pd.DataFrame({"id": self.ids, "kind": words[self.codes], "kind_probability": self.probability})


def features_of(table: pd.DataFrame) -> pd.DataFrame:
    """What a cell looks like: its numeric measures without its place and without what other models say of it."""
    names = [
        name
        for name in table.columns
        if name not in _NO_FEATURES
        and not name.startswith(_PLACES)
        and not name.endswith(_DOUBLES)
        and pd.api.types.is_numeric_dtype(table[name])
    ]
    return table[names].astype(float)


def kinds_of(
    table: pd.DataFrame, named: Mapping[int, str], others: Sequence[tuple[pd.DataFrame, Mapping[int, str]]] = ()
) -> Kinds:
    """Name all cells of an image after those that were named.

    Args:
        table: Cells of the image that are there.
        named: Kind by number of the cell.
        others: The same of other images of the study; only their named cells matter.

    Returns:
        Where fewer than two kinds were named, only the named cells have one.
    """
    ids = table["id"].to_numpy(np.int64)
    examples = [_named_rows(*pair) for pair in [(table, named), *others] if pair[1]]
    known = pd.concat(examples, ignore_index=True) if examples else pd.DataFrame({"kind": []})
    names = tuple(sorted(set(known["kind"])))
    own = np.array([names.index(named[cell]) if cell in named else -1 for cell in ids.tolist()], np.int64)
    if len(names) < 2:
        return Kinds(names, ids, own, np.where(own >= 0, 1.0, 0.0))
    features = features_of(table)
    shared = [name for name in features.columns if name in known.columns]
    answers = np.array([names.index(kind) for kind in known["kind"]])
    model = _model().fit(known[shared].to_numpy(), answers)
    probability = model.predict_proba(features[shared].to_numpy())
    best = probability.max(axis=1)
    codes = np.where(best >= SURE_FROM, probability.argmax(axis=1), -1)
    codes, best_or_named = np.where(own >= 0, own, codes), np.where(own >= 0, 1.0, best)
    asked = _most_useful(model[:-1].transform(features[shared].to_numpy()), probability, own >= 0)
    right = _right(known[shared].to_numpy(), answers)
    return Kinds(names, ids, codes, best_or_named, tuple(int(ids[row]) for row in asked), right)


def kinds_in_study(database: Database, row: dict[str, Any], settings: Settings) -> Kinds:
    """The kinds of all cells of a finished image, after the cells that were named in its study."""
    said = corrected_in_study(database, row["study"])
    own = said.pop(row["id"], Corrected())

    def cells(image: str, found: Corrected) -> tuple[pd.DataFrame, dict[int, str]]:
        return corrected_cells(cells_of(settings.result_folder(image)), found), found.kinds

    return kinds_of(*cells(row["id"], own), [cells(image, found) for image, found in said.items() if found.kinds])


def _named_rows(table: pd.DataFrame, named: Mapping[int, str]) -> pd.DataFrame:
    rows = table[table["id"].isin(list(named))]
    return features_of(rows).assign(kind=[named[cell] for cell in rows["id"].tolist()])


def _model() -> Any:
    # Loaded at the first click: it takes half a second.
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        SimpleImputer(keep_empty_features=True), StandardScaler(), LogisticRegression(class_weight="balanced")
    )


def _most_useful(
    scaled: Float64[np.ndarray, "n k"], probability: Float64[np.ndarray, "n c"], is_named: np.ndarray
) -> list[int]:
    """Rows of the least sure cells that are unlike each other (margin sampling, then farthest first)."""
    top = np.sort(probability, axis=1)
    margin = np.where(is_named, np.inf, top[:, -1] - top[:, -2])
    unsure = [int(row) for row in np.argsort(margin, kind="stable")[:_N_UNSURE] if np.isfinite(margin[row])]
    chosen: list[int] = []
    while unsure and len(chosen) < _N_ASKED:
        far = [min((np.linalg.norm(scaled[row] - scaled[one]) for one in chosen), default=0.0) for row in unsure]
        chosen.append(unsure.pop(int(np.argmax(far))))
    return chosen


def _right(features: Float64[np.ndarray, "n k"], answers: Int64[np.ndarray, " n"]) -> tuple[int, int] | None:
    """Cells that are named right by a model that did not see them."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    if np.bincount(answers).min() < _FOLDS:
        return None
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=_SEED)
    return int((cross_val_predict(_model(), features, answers, cv=folds) == answers).sum()), len(answers)
