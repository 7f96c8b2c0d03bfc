"""What is found out about a trained network on the cells of the validation pictures."""

import numpy as np
import pandas as pd

from organscope.bundle import Bundle
from organscope.dataset.index import Sample
from organscope.decide import Policy, fit_distance_limit, fit_temperature, softmax
from organscope.decide.pooling import fit_pooling
from organscope.predict import classify_cells
from organscope.train.classification.bundling import REFERENCE_FILE, Measured

IN_DOMAIN_PASS = 0.95
"""Share of the held-out cells that are not called unknown."""

_LEAST = 1e-30
"""Below it a float32 probability has no logarithm."""


def measure_on_cells(bundle: Bundle, samples: list[Sample]) -> Measured:
    """Fit temperature, novelty limit and pooling on all labelled cells of pictures, through the use side.

    Args:
        bundle: With a temperature of 1 and the number of neighbours that is to be used.
        samples: Pictures with labels that did not train.
    """
    cells = pd.concat([_cells_of(bundle, sample) for sample in samples], ignore_index=True)
    classes, labels = bundle.manifest.classes, cells["label"].to_numpy()
    columns = [f"p_{organ}" for organ in classes]
    # The logarithms of probabilities at a temperature of 1 are logits.
    logits = np.log(np.maximum(cells[columns].to_numpy(np.float64), _LEAST))
    temperature = fit_temperature(logits, labels)
    policy = Policy(
        temperature=temperature,
        max_distance=fit_distance_limit(cells["distance"].to_numpy(), IN_DOMAIN_PASS),
        n_neighbours=bundle.manifest.spec.policy.n_neighbours,
        reference=REFERENCE_FILE,
    )
    calibrated = softmax(logits, temperature)
    pooling = fit_pooling(calibrated, labels, cells["id"].to_numpy(str))
    table = cells.drop(columns="distance").assign(**dict(zip(columns, calibrated.T, strict=True)))
    return Measured(policy, table, pooling=pooling)


def _cells_of(bundle: Bundle, sample: Sample) -> pd.DataFrame:
    """One row a cell: `id` of the picture, `part`, `cell`, `label`, `distance` and `p_<organ>`."""
    labels = sample.read_labels()
    with sample.open() as image:
        found = classify_cells(image, labels, bundle)
    table = pd.DataFrame(found.probabilities, columns=[f"p_{organ}" for organ in found.organs])
    table.insert(0, "distance", found.distance)
    table.insert(0, "label", found.organs.index(sample.organ))
    table.insert(0, "cell", np.unique(labels[labels > 0]))
    table.insert(0, "part", "inner validation")
    table.insert(0, "id", sample.id)
    return table
