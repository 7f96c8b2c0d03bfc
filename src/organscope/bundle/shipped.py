"""The bundles inside the package, and how a name or a path finds one."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from organscope.bundle.manifest import MANIFEST_NAME, Manifest, Score, parse_manifest
from organscope.errors import UnknownNameError

_N_MAIN_SCORES = 3


@dataclass(frozen=True)
class BundleSummary:
    """One line of `organscope bundle list`; `scores` are the first, most telling ones."""

    name: str
    version: str
    task: Literal["segmentation", "classification"]
    summary: str
    size_bytes: int
    scores: list[Score]
    path: Path


def shipped_folder() -> Path:
    """The folder of the package that holds a folder a bundle."""
    return Path(str(resources.files("organscope") / "bundles"))


def shipped_names() -> list[str]:
    """Names of the bundles inside the package, sorted."""
    folder = shipped_folder()
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path.name for path in found if (path / MANIFEST_NAME).is_file())


def find_bundle(name_or_path: str | Path) -> Path:
    """The folder or zip file that a name or a path means.

    Raises:
        UnknownNameError: There is none; lists the names there are.
    """
    if isinstance(name_or_path, str) and name_or_path in shipped_names():
        return shipped_folder() / name_or_path
    path = Path(name_or_path)
    if path.exists():
        return path
    names = ", ".join(shipped_names()) or "none"
    raise UnknownNameError(
        f"Expected the name of a bundle or a path, found '{name_or_path}'. Bundles in the package: {names}."
    )


def list_bundles() -> list[BundleSummary]:
    """What each bundle of the package says about itself; graphs and hashes are not looked at.

    Raises:
        ManifestError: A manifest does not fit its schema.
    """
    paths = [shipped_folder() / name for name in shipped_names()]
    return [_summary(path, parse_manifest((path / MANIFEST_NAME).read_bytes(), str(path))) for path in paths]


def _summary(path: Path, manifest: Manifest) -> BundleSummary:
    return BundleSummary(
        name=path.name,
        version=manifest.version,
        task=manifest.spec.task,
        summary=manifest.summary,
        size_bytes=manifest.size_bytes,
        scores=manifest.scores[:_N_MAIN_SCORES],
        path=path,
    )
