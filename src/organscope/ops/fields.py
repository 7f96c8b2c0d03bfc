"""Where the square fields lie that a classifier sees of a picture."""


def field_starts(length_px: int, field_px: int) -> list[int]:
    """First pixels of the fewest fields that cover an axis, evenly spread.

    An axis shorter than a field has one, from 0; what it lacks is mirrored at its end.
    """
    room = max(0, length_px - field_px)
    last = -(-room // field_px)
    return [round(room * place / last) for place in range(last + 1)] if last else [0]
