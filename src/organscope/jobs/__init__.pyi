from .decisions import Redecision, decide_again
from .listener import Listener
from .models import Models, load_models, with_few_misses, with_rules
from .one_image import Reading
from .plan import Plan, Target, plan_run, prepare_output
from .result import Failure, ImageResult, RunResult
from .run import run_plan
from .streaming import Streaming, memory_from_text
from .warm_up import warm_up
from .workforce import Workforce

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
