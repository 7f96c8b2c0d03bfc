"""The promises of a bundle that was made before policies held them."""

from collections.abc import Sequence

import pandas as pd

from organscope.decide.conformal import fit_conformal
from organscope.decide.contract import fit_contract
from organscope.decide.policy import Policy


def complete_policy(policy: Policy, calibration: pd.DataFrame, organs: Sequence[str]) -> Policy:
    """The policy with contract and prediction sets, computed from the calibration table where it lacks them.

    Args:
        policy: As the manifest has it.
        calibration: `label` and `p_<organ>` for every organ, one row a field; rows of one `id` are averaged. A table
            without these columns leaves the policy as it is.
        organs: Names of the classes.
    """
    columns = [f"p_{organ}" for organ in organs]
    known = {"label", *columns} <= set(calibration.columns) and len(calibration) > 0
    if not known or (policy.contract is not None and policy.conformal is not None):
        return policy
    pictures = by_picture(calibration, columns)
    probabilities, labels = pictures[columns].to_numpy(float), pictures["label"].to_numpy(int)
    return policy.model_copy(
        update={
            "contract": policy.contract or fit_contract(probabilities, labels, organs),
            "conformal": policy.conformal or fit_conformal(probabilities, labels),
        }
    )


def by_picture(calibration: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """One row a picture: its label and the mean over its fields of the columns."""
    if "id" not in calibration:
        return calibration
    return calibration.groupby("id", sort=True)[["label", *columns]].agg(
        {"label": "first", **dict.fromkeys(columns, "mean")}
    )
