from .opening import Trackers, open_trackers
from .settings import Choice, TrackingSettings
from .tracker import Outcome, RunFacts, Tracker

__all__ = [
    "Choice",
    "Outcome",
    "RunFacts",
    "Tracker",
    "Trackers",
    "TrackingSettings",
    "open_trackers",
]
