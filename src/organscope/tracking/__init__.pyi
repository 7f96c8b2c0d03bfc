from .base import Choice, Outcome, RunFacts, Tracker, TrackingSettings
from .trackers import Trackers, open_trackers

__all__ = ["Choice", "Outcome", "RunFacts", "Tracker", "Trackers", "TrackingSettings", "open_trackers"]
