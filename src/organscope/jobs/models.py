"""The bundles that a run applies, one a task."""

from collections.abc import Sequence
from dataclasses import dataclass

from organscope.bundle import Bundle, load_bundle
from organscope.errors import UsageError

SEGMENTATION = "segmentation"
CLASSIFICATION = "classification"
DEFAULT_BUNDLES = {SEGMENTATION: "nuclei", CLASSIFICATION: "organs"}


@dataclass(frozen=True)
class Models:
    """Loaded bundles: `cells` segments, `organs` classifies; None where the run does not need it."""

    cells: Bundle | None = None
    organs: Bundle | None = None

    def loaded(self) -> list[Bundle]:
        """The bundles that take part."""
        return [bundle for bundle in (self.cells, self.organs) if bundle is not None]


def load_models(tasks: Sequence[str], names: Sequence[str] = (), *, threads: int | None = None) -> Models:
    """Load one bundle for each task; a task that no given bundle is for takes the one inside the package.

    Args:
        tasks: `segmentation`, `classification` or both.
        names: Bundle names or paths; each says by its manifest which task it is for.
        threads: Processor threads for each network; all cores where None.

    Raises:
        UsageError: A bundle is for a task that the run does not have, or two are for one task.
        UnknownNameError: There is no bundle of that name.
        BundleError: A bundle is damaged.
    """
    chosen: dict[str, Bundle] = {}
    for name in names:
        bundle = load_bundle(name, threads=threads)
        task = bundle.manifest.spec.task
        if task not in tasks:
            raise UsageError(
                f"Expected a bundle for {' or '.join(tasks)}, found '{name}', which is for {task}. "
                "Choose another with --bundle; `organscope bundle list` shows those inside the package."
            )
        if task in chosen:
            raise UsageError(f"Expected one bundle for {task}, found two: give --bundle once for each task.")
        chosen[task] = bundle
    for task in tasks:
        if task not in chosen:
            chosen[task] = load_bundle(DEFAULT_BUNDLES[task], threads=threads)
    return Models(cells=chosen.get(SEGMENTATION), organs=chosen.get(CLASSIFICATION))
