"""From scores to an answer: calibrated probability, distance to what is known, accept or abstain."""

from organscope.decide.calibration import ProbabilityCurve, fit_probability_curve, fit_temperature, softmax
from organscope.decide.expected_cost import expected_costs, least_cost_answers
from organscope.decide.policy import Decision, Policy, decide
from organscope.decide.policy_fit import PolicyFigures, fit_policy, measure_policy
from organscope.decide.unknown import fit_distance_limit, nearest_distance, unit_norm

__all__ = [
    "Decision",
    "Policy",
    "PolicyFigures",
    "ProbabilityCurve",
    "decide",
    "expected_costs",
    "fit_distance_limit",
    "fit_policy",
    "fit_probability_curve",
    "fit_temperature",
    "least_cost_answers",
    "measure_policy",
    "nearest_distance",
    "softmax",
    "unit_norm",
]
