from .image import ReadOptions, warm_up
from .memory import Streaming, memory_from_text
from .models import Models, at_operating_point, load_models, with_cell_kinds, with_rules
from .plan import Plan, Target, plan_run, prepare_output
from .progress import Listener
from .redecide import Redecision, decide_again
from .results import Failure, ImageResult, RunResult
from .run import run_plan
from .workers import WorkerConfig

__all__ = [
    "Failure",
    "ImageResult",
    "Listener",
    "Models",
    "Plan",
    "ReadOptions",
    "Redecision",
    "RunResult",
    "Streaming",
    "Target",
    "WorkerConfig",
    "at_operating_point",
    "decide_again",
    "load_models",
    "memory_from_text",
    "plan_run",
    "prepare_output",
    "run_plan",
    "warm_up",
    "with_cell_kinds",
    "with_rules",
]
