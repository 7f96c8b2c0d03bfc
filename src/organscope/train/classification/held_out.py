"""What each network of an ensemble says of the pictures that it never saw, and the policy that follows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64

from organscope.bundle import Bundle, load_bundle, write_bundle
from organscope.decide import Policy, complete_policy, fit_distance_limit, fit_temperature, nearest_distance
from organscope.decide.completion import by_picture
from organscope.decide.policy_fit import fit_min_confidence
from organscope.evaluate.scored import OUT_OF_FOLD
from organscope.train.classification.bundling import ValidationOutputs, calibration_table, run_validation
from organscope.train.classification.members import Member
from organscope.train.classification.shipping import Precision, quantised_copy

TARGET_ERROR = 0.05
MIN_COVERAGE = 0.5
IN_DOMAIN_PASS = 0.99
"""The limits on the look lose 2.5 % more, and the limit on confidence some: at most one picture in twenty in all."""


@dataclass(frozen=True)
class HeldOut:
    """What the shipped graph of one member says of the pictures that it never saw.

    Attributes:
        bundle: The member in the precision that ships.
        outputs: Logits and features of its test pictures.
        distances: Of each field to the member's training pictures.
    """

    bundle: Bundle
    outputs: ValidationOutputs
    distances: Float64[np.ndarray, " field"]


def hold_out(member: Member, scratch: Path, precision: Precision) -> HeldOut:
    """Run the graph that ships on the pictures that its network never saw."""
    bundle = member.bundle
    if precision == "int8":
        bundle = quantised_copy(bundle, member.config, member.split.training, scratch)
    outputs = run_validation(bundle, member.split.test)
    policy = bundle.manifest.spec.policy
    reference = bundle.tensors(policy.reference)["features"]
    return HeldOut(bundle, outputs, nearest_distance(outputs.features, reference, policy.n_neighbours).astype(float))


def cross_fitted(held_out: list[HeldOut], scratch: Path) -> list[Bundle]:
    """Each member with temperature and limits that come from the pictures of the others alone."""
    bundles = []
    for number, part in enumerate(held_out):
        others = held_out[:number] + held_out[number + 1 :]
        policy = fitted_policy(others, others, part.bundle.manifest.spec.policy)
        bundles.append(_with_policy(part.bundle, policy, scratch / f"cross-fitted-{number}"))
    return bundles


def fitted_policy(said: list[HeldOut], near: list[HeldOut], template: Policy) -> Policy:
    """Fitted on pictures that the single networks never saw.

    Args:
        said: What temperature, confidence limit, contract and sets come from.
        near: What the novelty limit comes from.
        template: Names, neighbours and the limits on the look of a picture.
    """
    temperature = fit_temperature(*_pooled(said))
    organs = said[0].bundle.manifest.classes
    table = out_of_fold_table(said, temperature)
    columns = [f"p_{organ}" for organ in organs]
    pictures = by_picture(table, columns)
    probabilities = pictures[columns].to_numpy(float)
    right = probabilities.argmax(axis=1) == pictures["label"].to_numpy(int)
    policy = Policy(
        temperature=temperature,
        min_confidence=fit_min_confidence(probabilities.max(axis=1), right, TARGET_ERROR, MIN_COVERAGE),
        max_distance=fit_distance_limit(_picture_distances(near), IN_DOMAIN_PASS),
        n_neighbours=template.n_neighbours,
        reference=template.reference,
        quality=template.quality,
    )
    return complete_policy(policy, table, organs)


def _pooled(held_out: list[HeldOut]) -> tuple[np.ndarray, np.ndarray]:
    logits = np.concatenate([part.outputs.logits for part in held_out])
    return logits, np.concatenate([part.outputs.organs for part in held_out])


def out_of_fold_table(held_out: list[HeldOut], temperature: float) -> pd.DataFrame:
    """One row a field of every picture, by the network that never saw it."""
    organs = held_out[0].bundle.manifest.classes
    parts = [calibration_table(part.outputs, organs, temperature) for part in held_out]
    return pd.concat(parts, ignore_index=True).assign(part=OUT_OF_FOLD)


def _picture_distances(held_out: list[HeldOut]) -> Float64[np.ndarray, " picture"]:
    """As an image is judged: the median over its fields."""
    return np.concatenate(
        [pd.Series(part.distances).groupby(part.outputs.pictures).median().to_numpy() for part in held_out]
    )


def _with_policy(bundle: Bundle, policy: Policy, folder: Path) -> Bundle:
    spec = bundle.manifest.spec.model_copy(update={"policy": policy})
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    return load_bundle(write_bundle(folder, bundle.manifest.model_copy(update={"spec": spec}), files))


def accuracy_lost(members: list[Member], held_out: list[HeldOut]) -> float:
    """Share of the pictures, of all members together, that floating point names rightly and integers do not, net."""
    exact = [run_validation(member.bundle, member.split.test) for member in members]
    return float(np.mean(np.concatenate([_right(outputs) for outputs in exact]))) - float(
        np.mean(np.concatenate([_right(part.outputs) for part in held_out]))
    )


def _right(outputs: ValidationOutputs) -> np.ndarray:
    logits = pd.DataFrame(outputs.logits).groupby(outputs.pictures, sort=False).mean().to_numpy()
    labels = pd.Series(outputs.organs).groupby(outputs.pictures, sort=False).first().to_numpy()
    return logits.argmax(axis=1) == labels
