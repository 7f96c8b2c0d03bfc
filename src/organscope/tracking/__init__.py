"""What a training did, told to MLflow, to Weights & Biases, to both or to none, through one small protocol."""

from organscope.tracking.opening import Trackers, open_trackers
from organscope.tracking.settings import Choice, TrackingSettings
from organscope.tracking.tracker import Outcome, RunFacts, Tracker

__all__ = ["Choice", "Outcome", "RunFacts", "Tracker", "Trackers", "TrackingSettings", "open_trackers"]
