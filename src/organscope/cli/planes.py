"""How planes are written on the command line."""

from organscope.errors import UsageError


def plane_from_text(text: str | None) -> dict[str, int]:
    """`z` and `t` from text such as "z=3,t=0".

    Raises:
        UsageError: It is written in another way.
    """
    found: dict[str, int] = {}
    for part in (text or "").replace(" ", "").split(",") if text is not None else ():
        axis, _, number = part.casefold().partition("=")
        if axis not in ("z", "t") or not number.isdecimal() or axis in found:
            raise UsageError(f"Expected a plane such as z=3 or z=3,t=0, found '{text}'. Write it so, counted from 0.")
        found[axis] = int(number)
    return found
