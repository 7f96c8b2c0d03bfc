"""Who is told how a run goes on, and of what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from organscope.pipeline.plan import Target
    from organscope.pipeline.results import Failure, ImageResult


@dataclass(frozen=True)
class SlidePlan:
    """What is ahead.

    Attributes:
        n_slides: Slides that are not done.
        megapixels: Of all of them.
        n_windows: Regions.
        n_tiles: Tiles of the network for cells; 0 where cells are not asked for.
        tissue: Share of them that are expected to show tissue.
        seconds: Expected time; None where cells are not asked for.
        memory_mb: The most that all processes of this machine are expected to need.
    """

    n_slides: int
    megapixels: float
    n_windows: int
    n_tiles: int
    tissue: float
    seconds: float | None
    memory_mb: float

    def sentence(self) -> str:
        """For a person, before the work begins."""
        slides = "1 slide" if self.n_slides == 1 else f"{self.n_slides:,} slides"
        tiles = f", {self.n_tiles:,} tiles of which about {self.tissue:.0%} show tissue" if self.n_tiles else ""
        takes = "" if self.seconds is None else f"; about {duration_text(self.seconds)}"
        return (
            f"Plan: {slides}, {self.megapixels:,.0f} megapixels, {self.n_windows:,} regions{tiles}{takes}, "
            f"at most {self.memory_mb:,.0f} MB of memory."
        )


def duration_text(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Listener:
    """Told how a run goes on; the base class stays silent.

    Images that other processes work on are told of only at their end.
    """

    def slides_planned(self, plan: SlidePlan) -> None:
        """What the slides of the run will take; told before they begin, and only where there are any."""

    def image_started(self, target: Target) -> None:
        """Work on this image begins."""

    def image_advanced(self, fraction: float) -> None:
        """So much of the present image is done, from 0 to 1."""

    def image_ended(self, outcome: ImageResult | Failure) -> None:
        """An image is finished, or has failed."""
