"""`organscope bundle certify`: compare what computes a finished bundle, on images of an index."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from organscope.data.index import Sample, read_index
from organscope.errors import DatasetError, UsageError
from organscope.evaluation.equivalence import N_IMAGES, certificate, choose_images, compare_use
from organscope.models import Bundle, Certificate, Comparison

_Framework = tuple[Callable[[Bundle, Sequence[Sample]], list[Comparison]], Callable[[], dict[str, str]]]
"""What compares a bundle with its framework, and what tells the versions of that."""


def certify(
    bundle: Bundle,
    indexes: Sequence[Path],
    *,
    fold: int | None = None,
    n_pictures: int = N_IMAGES,
    with_framework: bool = True,
    loading: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Certificate:
    """Compare framework and ONNX, floating point and integers, tiles and the whole, 1 thread and 2.

    Args:
        bundle: Of either task. Its network is built again from its weights.
        indexes: Of annotated images.
        fold: Only of this fold.
        n_pictures: Of each index.
        with_framework: Without it only what needs no framework is compared.
        loading: Makes the context in which the framework is imported.

    Raises:
        DatasetError: No image of the indexes can be used.
        BundleError: The weights do not fit the architecture.
    """
    samples = [sample for index in indexes for sample in _images(bundle, index, fold, n_pictures)]
    if not samples:
        raise DatasetError(
            f"Expected annotated images in {', '.join(str(index) for index in indexes)}"
            f"{'' if fold is None else f' in fold {fold}'}, found none. Name another index or fold."
        )
    comparisons, made_with = compare_use(bundle, samples), {}
    if with_framework:
        with loading():
            compare, versions = _framework(bundle)
        comparisons, made_with = [*compare(bundle, samples), *comparisons], versions()
    part = "all folds" if fold is None else f"fold {fold}"
    return certificate(part, samples, comparisons, **made_with)


def _images(bundle: Bundle, folder: Path, fold: int | None, n: int) -> list[Sample]:
    spec = bundle.manifest.spec
    samples = read_index(folder).samples(fold)
    if spec.task == "classification":
        samples = [sample for sample in samples if sample.organ in bundle.manifest.classes]
    if spec.task == "segmentation" or spec.subject == "cell":
        samples = [sample for sample in samples if sample.labels_path is not None]
    return choose_images(samples, n)


def _framework(bundle: Bundle) -> _Framework:
    """Load the framework of the bundle, and only this one."""
    if bundle.manifest.weights.framework == "onnx":
        raise UsageError(
            f"Expected weights of Keras or PyTorch in {bundle.source}, found its graph alone. Use --without-framework."
        )
    if bundle.manifest.weights.framework == "keras":
        from organscope.training.segmentation import bundling as keras_side

        return keras_side.compare_framework, keras_side.versions
    from organscope.training.classification import bundling as torch_side

    return torch_side.compare_framework, torch_side.versions
