"""Which image goes to which folder, found out before any work starts."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from organscope.errors import OutputError, UsageError
from organscope.images import image_files
from organscope.jobs.files import RUN_FILES, TRIAL_PREFIX, is_result_file


@dataclass(frozen=True)
class Target:
    """One image and where its results go.

    Attributes:
        source: The image, as the person named it or as it was found below a folder.
        stem: Path of the result folder below the output folder: the image's own path without its suffix.
    """

    source: Path
    stem: Path


@dataclass(frozen=True)
class Plan:
    """Everything a run will do.

    Attributes:
        out: The output folder; it need not exist yet.
        targets: One entry an image, in the order of the work; no two share a stem.
    """

    out: Path
    targets: tuple[Target, ...]


def plan_run(inputs: Sequence[str | Path], out: str | Path) -> Plan:
    """Expand folders into images and give each its target; nothing is written.

    Results of an earlier run inside an input folder are not images to work on.

    Raises:
        UsageError: No image was found, an input does not exist, two images have one target, or a target has
            the name of a file that the run itself writes.
    """
    targets = tuple(Target(path, Path(stem)) for path, stem in image_files(inputs) if not is_result_file(path))
    if not targets:
        names = ", ".join(str(name) for name in inputs)
        raise UsageError(f"Expected at least one image, found none in {names}. Name image files or a folder of images.")
    for target in targets:
        if target.stem.parts[0] in RUN_FILES:
            raise UsageError(
                f"{target.source} would write to '{target.stem}', which is the name of a result file. Rename the image."
            )
    return Plan(Path(out), targets)


def prepare_output(out: Path) -> None:
    """Make the output folder and try to write in it.

    Raises:
        OutputError: It cannot be made or written; says why.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=out, prefix=TRIAL_PREFIX, suffix=".tmp"):
            pass
    except OSError as error:
        raise OutputError(
            f"Expected an output folder that can be written, found {out}: {error.strerror or error}. "
            "Choose another folder with -o, or change its permissions."
        ) from error
