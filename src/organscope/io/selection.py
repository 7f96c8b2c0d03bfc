"""Which plane, channel, page, time point and image of a file is read: what was asked for, and what was taken."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from organscope.errors import ShapeError, UsageError

RGB = "rgb"
"""Asked for as a channel: the first three channels are red, green and blue, though the file does not say so."""

_NUCLEI = re.compile(
    r"\b(dapi|hoechst\d*|nucle(us|i|ar)|dna|draq\s?[57]|sytox\w*|h2b\w*|propidium|to ?pro ?3|syto ?\d+|h3342)\b|^pi$",
    re.IGNORECASE,
)
_COLORS = (("red", "r"), ("green", "g"), ("blue", "b"))


@dataclass(frozen=True)
class Choice:
    """What a person asks for; None takes the documented choice, all numbers count from 0.

    Attributes:
        channel: Number or name of the only channel to read; "rgb" says that the channels are red, green and blue.
        page: Page of a file whose planes have no names.
        z: Plane of a stack; the first where None.
        t: Time point; the first where None.
        series: Image of a file that holds several; the largest where None.
        project: "max" takes the brightest of all z planes at every pixel.
    """

    channel: int | str | None = None
    page: int | None = None
    z: int | None = None
    t: int | None = None
    series: int | None = None
    project: str | None = None

    def __post_init__(self) -> None:
        if self.project not in (None, "max"):
            raise UsageError(f"Expected the projection 'max', found '{self.project}'. Choose --project max.")
        for name in ("channel", "page", "z", "t", "series"):
            wanted = getattr(self, name)
            if str(wanted).startswith("-"):
                raise UsageError(f"Expected a {name} from 0, found {wanted}.")
        if self.project is not None and self.z is not None:
            raise UsageError("Expected a z plane or a projection over all of them, found both. Leave one out.")


@dataclass(frozen=True)
class Selection:
    """What was read of a file, counted from 0, and of how many.

    Attributes:
        series: The image, of `n_series` in the file.
        page: Of `n_pages` planes without names.
        z: Plane of a stack of `n_z`; None where all were projected.
        t: Time point, of `n_t`.
        channel: The one that networks and viewers see, of `n_channels`; None where these are the colors of one
            image, or where it has to be chosen first.
        project: "max" where the brightest of all z planes was taken.
    """

    series: int = 0
    page: int = 0
    z: int | None = 0
    t: int = 0
    channel: int | None = None
    project: str | None = None
    n_series: int = 1
    n_pages: int = 1
    n_z: int = 1
    n_t: int = 1
    n_channels: int = 1

    @property
    def planes(self) -> range:
        """The z planes that make up what is read."""
        return range(self.n_z) if self.z is None else range(self.z, self.z + 1)


@dataclass(frozen=True)
class Channels:
    """The channels of an image.

    Attributes:
        names: One a channel; empty where the file does not say.
        is_color: The first three are red, green and blue.
        has_alpha: The last is opacity.
        note: How it is known which is what, where that is not plain; one sentence.
    """

    names: tuple[str, ...] = ("",)
    is_color: bool = False
    has_alpha: bool = False
    note: str = ""

    @classmethod
    def unnamed(cls, n: int, *, is_color: bool = False, has_alpha: bool = False) -> "Channels":
        """Channels without names."""
        return cls(("",) * n, is_color, has_alpha)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def shown(self) -> tuple[int, ...]:
        """Channels that networks and viewers see: the colors, or one; empty where it has to be chosen."""
        if self.is_color:
            return (0, 1, 2)
        if len(self) - self.has_alpha == 1:
            return (0,)
        stained = self._of_nuclei()
        return (stained[0],) if len(stained) == 1 else ()

    def require_shown(self, where: Path) -> tuple[int, ...]:
        """The same.

        Raises:
            ShapeError: It has to be chosen; names the channels.
        """
        if not self.shown:
            raise ShapeError(
                f"Expected a gray or an RGB image, found {len(self)} channels ({self.listed()}) in {where}, of which "
                "nothing says which shows the nuclei. Choose one with --channel, by number or name, or say "
                "--channel rgb where they are red, green and blue."
            )
        return self.shown

    def number(self, wanted: int | str, where: Path) -> int:
        """The number of a channel that is asked for by number or by name.

        Raises:
            UsageError: There is no such channel, or there are several of the name.
        """
        if isinstance(wanted, str):
            found = [k for k, name in enumerate(self.names) if name.casefold() == wanted.strip().casefold()]
            if len(found) == 1:
                return found[0]
            if found or not wanted.strip().isdecimal():
                count = f"{len(found)} of that name" if found else "none of that name"
                raise UsageError(
                    f"Expected a channel of {where}, found {count} for '{wanted}'. It has: {self.listed()}."
                )
            wanted = int(wanted)
        if not 0 <= wanted < len(self):
            raise UsageError(f"Expected a channel from 0 to {len(self) - 1} of {where}, found {wanted}.")
        return wanted

    def only(self, number: int) -> "Channels":
        """One of them alone."""
        return Channels((self.names[number],))

    def as_color(self, where: Path) -> "Channels":
        """The same, the first three as red, green and blue.

        Raises:
            UsageError: There are fewer than three.
        """
        if len(self) < 3:
            raise UsageError(f"Expected three channels for --channel rgb, found {len(self)} in {where}.")
        return replace(self, is_color=True, note="")

    def listed(self) -> str:
        """All of them, for a sentence."""
        return ", ".join(f'{k} "{name}"' if name else str(k) for k, name in enumerate(self.names))

    def sentence(self) -> str:
        """Which are seen, where a choice was made; else empty."""
        if self.note or self.is_color or len(self) - self.has_alpha == 1 or not self.shown:
            return self.note
        (seen,) = self.shown
        return (
            f'Channel {seen + 1} of {len(self)}, "{self.names[seen]}", was looked at, because its name says nuclei; '
            f"there are: {self.listed()}. Choose another with --channel."
        )

    def _of_nuclei(self) -> list[int]:
        return [k for k, name in enumerate(self.names) if _NUCLEI.search(re.sub(r"[_\W]+", " ", name))]


def named_channels(names: Sequence[str], *, has_alpha: bool = False) -> Channels:
    """Channels with the names that a file gives; red, green and blue in this order are colors."""
    plain = [name.strip().casefold() for name in names]
    is_color = len(plain) in (3, 4) and all(name in known for name, known in zip(plain[:3], _COLORS, strict=True))
    return Channels(tuple(name.strip() for name in names), is_color, has_alpha)


def select(choice: Choice, found: Selection, where: Path) -> Selection:
    """What is read, from what is asked for and what there is.

    Args:
        choice: What is asked for.
        found: The documented choice, with how many there are of each.
        where: The file, for messages.

    Raises:
        UsageError: There is no such page, plane, time point or image.
    """
    has = _counted(found)
    for name, what, option in _AXES:
        wanted, n = getattr(choice, name), getattr(found, f"n_{_PLURALS.get(name, name)}")
        if wanted is None:
            continue
        if not 0 <= wanted < n:
            raise UsageError(
                f"Expected {option} from 0 to {n - 1}, found {wanted}: {where} holds {has or f'one {what}'}."
            )
        found = replace(found, **{name: wanted})
    if choice.project is not None and found.n_z > 1:
        found = replace(found, z=None, project=choice.project)
    return found


def selection_notes(choice: Choice, taken: Selection) -> tuple[str, ...]:
    """One sentence for each choice that was made without being asked for, and for a projection."""
    notes = []
    if taken.n_series > 1 and choice.series is None:
        notes.append(
            f"Image {taken.series + 1} of {taken.n_series} was read, because none is larger (--series {taken.series}); "
            f"the others were left out. Choose one with --series 0 to {taken.n_series - 1}."
        )
    if taken.n_pages > 1 and choice.page is None:
        notes.append(
            f"Page {taken.page + 1} of {taken.n_pages} was read (--page {taken.page}); the others were left out. "
            f"Choose one with --page 0 to {taken.n_pages - 1}."
        )
    if taken.z is None:
        notes.append(f"The brightest of {taken.n_z} z planes was taken at every pixel (--project max).")
    elif taken.n_z > 1 and choice.z is None:
        notes.append(
            f"Plane {taken.z + 1} of {taken.n_z} in z was read (--plane z={taken.z}); the others were left out. Choose "
            f"one with --plane z=0 to z={taken.n_z - 1}, or take the brightest of all with --project max."
        )
    if taken.n_t > 1 and choice.t is None:
        notes.append(
            f"Time point {taken.t + 1} of {taken.n_t} was read (--plane t={taken.t}); the others were left out. "
            f"Choose one with --plane t=0 to t={taken.n_t - 1}."
        )
    return tuple(notes)


_AXES = (
    ("series", "image", "an image (--series)"),
    ("page", "page", "a page (--page)"),
    ("z", "plane", "a z plane (--plane z=)"),
    ("t", "time point", "a time point (--plane t=)"),
)
_PLURALS = {"page": "pages"}


def _counted(found: Selection) -> str:
    counts = {
        "images": found.n_series, "pages": found.n_pages, "z planes": found.n_z, "time points": found.n_t,
        "channels": found.n_channels,
    }  # fmt: skip
    return ", ".join(f"{n} {what}" for what, n in counts.items() if n > 1)


def choice_as_text(choice: Choice) -> str:
    """The choice as JSON of what was asked for; "" where nothing was."""
    asked = {name: value for name, value in choice_as_options(choice).items() if value is not None}
    return json.dumps(asked) if asked else ""


def choice_from_text(text: str) -> Choice:
    """What `choice_as_text` was given."""
    return Choice(**json.loads(text)) if text else Choice()


def choice_as_options(choice: Choice) -> dict[str, Any]:
    """The choice as keywords of `organscope.io.open_image`."""
    return {name: getattr(choice, name) for name in Choice.__dataclass_fields__}
