"""Verify a bundle against its stored test tensors."""

from dataclasses import dataclass

import numpy as np

from organscope.errors import VerificationError
from organscope.models.bundle import Bundle


@dataclass(frozen=True)
class VerifyReport:
    """How far the outputs lie from the expected ones.

    Attributes:
        differences: Largest absolute difference of each output; infinite where a number is not finite.
        tolerance: The largest that is allowed.
    """

    differences: dict[str, float]
    tolerance: float

    @property
    def max_difference(self) -> float:
        """The largest of all outputs."""
        return max(self.differences.values())

    @property
    def ok(self) -> bool:
        """Every output is within the tolerance."""
        return self.max_difference <= self.tolerance


def verify_bundle(bundle: Bundle) -> VerifyReport:
    """Run the test input and compare with the expected outputs.

    Returns:
        The differences; `ok` says whether they are within the tolerance of the manifest.

    Raises:
        VerificationError: A test tensor is missing, or shapes do not fit one another or the manifest.
        IntegrityError: The test file is no safetensors file.
    """
    test = bundle.manifest.test
    expected = bundle.tensors(test.file)
    wanted = ["input", *bundle.manifest.graph.outputs]
    if missing := sorted(set(wanted) - set(expected)):
        raise VerificationError(
            f"Expected the tensors {', '.join(wanted)} in {test.file} of {bundle.source}, found no "
            f"{', '.join(missing)}. Export the bundle again."
        )
    found = bundle.run(expected["input"])
    _check_widths(bundle, found)
    differences = {name: _difference(bundle, name, found[name], expected[name]) for name in found}
    return VerifyReport(differences, test.absolute_tolerance)


def require_verified(bundle: Bundle) -> VerifyReport:
    """Verify, and refuse a bundle that gives other outputs.

    Raises:
        VerificationError: As `verify_bundle`, and where a difference is above the tolerance.
    """
    report = verify_bundle(bundle)
    if not report.ok:
        raise VerificationError(
            f"Expected the outputs of {bundle.source} within {report.tolerance:g} of its test tensors, found "
            f"a difference of {report.max_difference:g}. Export it again, or try another onnxruntime."
        )
    return report


def _difference(bundle: Bundle, name: str, found: np.ndarray, expected: np.ndarray) -> float:
    if found.shape != expected.shape:
        raise VerificationError(
            f"Expected output {name} of {bundle.source} of shape {expected.shape}, found {found.shape}. "
            "Export the bundle again."
        )
    gap = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    return float(gap.max(initial=0.0)) if np.isfinite(gap).all() else float("inf")


def _check_widths(bundle: Bundle, found: dict[str, np.ndarray]) -> None:
    """The last axis of each output is what the manifest speaks of: maps, classes, embedding."""
    spec = bundle.manifest.spec
    if spec.task == "segmentation":
        widths = {"maps": len(spec.maps)}
    else:
        reference = bundle.tensors(spec.policy.reference).get("features")
        if reference is None or reference.ndim != 2 or len(reference) < spec.policy.n_neighbours:
            raise VerificationError(
                f"Expected {spec.policy.reference} of {bundle.source} to hold 'features' of at least "
                f"{spec.policy.n_neighbours} training images, found fewer. Export the bundle again."
            )
        n_classes = len(bundle.manifest.classes)
        widths = {"logits": n_classes, "features": reference.shape[1], "evidence": n_classes}
    for name, width in widths.items():
        if name in found and found[name].shape[-1] != width:
            raise VerificationError(
                f"Expected {width} channels in output {name} of {bundle.source}, as its manifest says, found "
                f"{found[name].shape[-1]}. Export the bundle again."
            )
