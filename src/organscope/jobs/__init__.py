"""Segment, classify and analyse many images: plan first, then one complete result after the other."""

from organscope.jobs.decisions import Redecision, decide_again
from organscope.jobs.listener import Listener
from organscope.jobs.models import Models, load_models, with_few_misses, with_rules
from organscope.jobs.one_image import Reading
from organscope.jobs.plan import Plan, Target, plan_run, prepare_output
from organscope.jobs.result import Failure, ImageResult, RunResult
from organscope.jobs.run import run_plan
from organscope.jobs.streaming import Streaming, memory_from_text
from organscope.jobs.warm_up import warm_up
from organscope.jobs.workforce import Workforce

__all__ = [
    "Failure",
    "ImageResult",
    "Listener",
    "Models",
    "Plan",
    "Reading",
    "Redecision",
    "RunResult",
    "Streaming",
    "Target",
    "Workforce",
    "decide_again",
    "load_models",
    "memory_from_text",
    "plan_run",
    "prepare_output",
    "run_plan",
    "warm_up",
    "with_few_misses",
    "with_rules",
]
