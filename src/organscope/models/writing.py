"""Write a bundle: whole and verified, or not at all."""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from organscope.errors import BundleError, OutputError
from organscope.models.bundle import Bundle, read_contents
from organscope.models.manifest import MANIFEST_NAME, FileEntry, Manifest, parse_manifest, render_manifest
from organscope.models.verification import require_verified

MAX_BUNDLE_BYTES = 25 * 1000**2
"""Of all files together: a bundle travels by e-mail and inside the package."""


def write_bundle(
    folder: str | Path,
    manifest: Manifest,
    files: Mapping[str, bytes | Path],
    *,
    max_bytes: int = MAX_BUNDLE_BYTES,
) -> Path:
    """Write a bundle into a folder.

    It is put together in a temporary folder beside, loaded and verified there as a user would, and only then
    renamed; an older bundle in its place is kept until that moment.

    Args:
        folder: To be made, or a bundle to be replaced.
        manifest: Without `files`, which are filled in.
        files: Every file of the bundle but the manifest, as bytes or as a path to copy.
        max_bytes: Of all files together; more than the default is for comparisons, not for shipping.

    Returns:
        The folder.

    Raises:
        ManifestError: A file that the manifest names is not among `files`, or a name is not plain.
        BundleError: More than `max_bytes`, or the bundle is unsafe, cannot be run or does not verify.
        OutputError: The folder cannot be written, or holds something that is no bundle.
    """
    target = Path(folder)
    contents = {name: data if isinstance(data, bytes) else _read(data) for name, data in files.items()}
    complete = _complete(manifest, contents, str(target))
    contents[MANIFEST_NAME] = render_manifest(complete)
    _check_size(contents, target, max_bytes)
    _check_target(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    except OSError as error:
        raise _not_writable(target, error) from None
    try:
        _fill(beside, contents)
        require_verified(Bundle(target, *read_contents(beside)))
        _replace(target, beside)
    except OSError as error:
        raise _not_writable(target, error) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return target


def _complete(manifest: Manifest, contents: dict[str, bytes], where: str) -> Manifest:
    entries = {
        name: FileEntry(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
        for name, data in sorted(contents.items())
    }
    # Parsed again, because a copy with new entries is not validated by pydantic.
    return parse_manifest(render_manifest(manifest.model_copy(update={"files": entries})), where)


def _check_size(contents: dict[str, bytes], target: Path, max_bytes: int) -> None:
    n_bytes = sum(len(data) for data in contents.values())
    if n_bytes > max_bytes:
        largest = max(contents, key=lambda name: len(contents[name]))
        raise BundleError(
            f"Expected a bundle of at most {max_bytes / 1e6:.0f} MB, found {n_bytes / 1e6:.1f} MB for "
            f"{target}, most of it in {largest}. Choose a smaller network or store half-precision weights."
        )


def _check_target(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise OutputError(f"Expected a folder to write to, found something else at {target}. Choose another path.")
    if target.is_dir() and any(target.iterdir()) and not (target / MANIFEST_NAME).is_file():
        raise OutputError(f"Expected an empty folder or a bundle at {target}, found other files. Choose another path.")


def _fill(folder: Path, contents: dict[str, bytes]) -> None:
    folder.chmod(0o755)  # mkdtemp makes it private, a bundle is for sharing
    for name, data in contents.items():
        (folder / name).write_bytes(data)


def _replace(target: Path, complete: Path) -> None:
    """Two renames; if the second fails, the first is taken back."""
    if not target.exists():
        complete.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old.tmp", dir=target.parent))
    target.rename(old / target.name)
    try:
        complete.rename(target)
    except OSError:
        (old / target.name).rename(target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _read(path: Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise BundleError(
            f"Expected to copy {path} into the bundle, found: {error.strerror}. Check that it was written."
        ) from None


def _not_writable(target: Path, error: OSError) -> OutputError:
    return OutputError(f"Expected to write the bundle {target}, found: {error.strerror}. Check permissions and space.")
