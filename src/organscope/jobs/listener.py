"""Who is told how a run goes on."""

from organscope.jobs.plan import Target
from organscope.jobs.result import Failure, ImageResult
from organscope.jobs.slide_plan import SlidePlan


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
