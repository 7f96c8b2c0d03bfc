"""Manifests of older formats, brought to the current one.

When the schema changes: raise `CURRENT_VERSION`, and register under the old version a function that returns
the same content in the next version. Versions follow one another, so that any older manifest gets here. A
bundle of every version stays in `tests/golden`.
"""

from collections.abc import Callable
from typing import Any

from organscope.errors import ManifestError

CURRENT_VERSION = 1

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From a version to the next: none yet, version 1 is the first."""


def migrate(data: Any, where: str) -> dict[str, Any]:
    """Bring the content of a manifest to the current format.

    Args:
        data: As read from JSON.
        where: The bundle, for messages.

    Raises:
        ManifestError: It is no JSON object, or its version is missing, unknown or newer.
    """
    if not isinstance(data, dict):
        raise ManifestError(f"Expected the manifest of {where} to be a JSON object. Export the bundle again.")
    version = data.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise ManifestError(
            f"Expected the manifest of {where} to have a format_version that is a whole number, found "
            f"{version!r}. Check that it is an organscope bundle."
        )
    if version > CURRENT_VERSION:
        raise ManifestError(
            f"Expected a manifest of format version {CURRENT_VERSION} or older, found version {version}: "
            f"{where} was made by a newer organscope. Update organscope."
        )
    while version < CURRENT_VERSION:
        if version not in MIGRATIONS:
            raise ManifestError(
                f"Expected a manifest of format version 1 to {CURRENT_VERSION}, found version {version} in "
                f"{where}. Check that it is an organscope bundle."
            )
        data = MIGRATIONS[version](data)
        version = data["format_version"]
    return data
