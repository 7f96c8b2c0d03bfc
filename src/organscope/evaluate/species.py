"""Organs that occur in several species: are they told apart in each of them?

Trained on one species and scored on another, this is a test across slides and animals. Only the organs that both have
count, and an answer is the most probable of these.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from organscope.evaluate.intervals import SEED
from organscope.metrics.bootstrap import bootstrap_interval


def species_table(pictures: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """One row a species, with the organs that occur in more than one.

    Returns:
        `species`, `organs`, `n_images`, `balanced_accuracy` among just these organs with its 95 % interval over
        pictures, `accepted` (share of answers of the bundle that are relied on) and `wrong_among_accepted` (share of
        these that name another organ, of all the bundle knows). No row where no organ occurs in two species.
    """
    if "species" not in pictures:
        return pd.DataFrame()
    known = pictures[(pictures["species"] != "") & pictures["organ"].isin(list(classes))]
    shared = known.groupby("organ")["species"].nunique()
    organs = sorted(shared[shared > 1].index)
    if len(organs) < 2:
        return pd.DataFrame()
    return pd.DataFrame(
        [_row(name, part, organs) for name, part in known[known["organ"].isin(organs)].groupby("species", sort=True)]
    )


def _row(name: str, pictures: pd.DataFrame, organs: Sequence[str]) -> dict:
    among = np.array(organs)[pictures[[f"p_{organ}" for organ in organs]].to_numpy().argmax(axis=1)]
    truth = pictures["organ"].to_numpy()
    accepted = (pictures["decision"] == "accept").to_numpy()
    wrong = (pictures["predicted"] != pictures["organ"]).to_numpy()

    def balanced(drawn: np.ndarray) -> dict[str, float]:
        recalls = [(among[drawn] == organ)[truth[drawn] == organ] for organ in organs]
        return {"": float(np.mean([part.mean() for part in recalls if part.size]))}

    everything = np.arange(len(pictures))
    low, high = bootstrap_interval(balanced, everything, seed=SEED)[""]
    return {
        "species": name,
        "organs": "; ".join(organs),
        "n_images": len(pictures),
        "balanced_accuracy": balanced(everything)[""],
        "balanced_accuracy_low": low,
        "balanced_accuracy_high": high,
        "accepted": accepted.mean(),
        "wrong_among_accepted": wrong[accepted].mean() if accepted.any() else np.nan,
    }
