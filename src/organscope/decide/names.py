"""Find an organ by the name that a person typed."""

import difflib
from collections.abc import Sequence

from organscope.errors import UnknownNameError


def organ_number(organs: Sequence[str], name: str) -> int:
    """Place of an organ among the classes; upper and lower case, blanks and underscores do not matter.

    Raises:
        UnknownNameError: There is no such organ; names those that are near.
    """
    plain = [_plain(organ) for organ in organs]
    if _plain(name) in plain:
        return plain.index(_plain(name))
    near = difflib.get_close_matches(_plain(name), plain, n=3, cutoff=0.5)
    known = [organs[plain.index(match)] for match in near] or list(organs)
    hint = f"Did you mean {' or '.join(known)}?" if near else f"There are: {', '.join(known)}."
    raise UnknownNameError(f"Expected an organ that the bundle knows, found '{name}'. {hint}")


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").lower().split())
