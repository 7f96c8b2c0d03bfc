"""Segment, classify and analyse many images: plan first, then one complete result after the other."""

from organscope.jobs.models import Models, load_models
from organscope.jobs.one_image import Reading
from organscope.jobs.plan import Plan, Target, plan_run, prepare_output
from organscope.jobs.result import Failure, ImageResult, RunResult
from organscope.jobs.run import Listener, run_plan
from organscope.jobs.warm_up import warm_up

__all__ = [
    "Failure",
    "ImageResult",
    "Listener",
    "Models",
    "Plan",
    "Reading",
    "RunResult",
    "Target",
    "load_models",
    "plan_run",
    "prepare_output",
    "run_plan",
    "warm_up",
]
