"""From scores to an answer: calibrated probability, distance to what is known, accept or abstain."""

from organscope.decide.answers import Answers, Decision, Rules, decide, decide_all
from organscope.decide.asking import rules_for
from organscope.decide.calibration import ProbabilityCurve, fit_probability_curve, fit_temperature, softmax
from organscope.decide.completion import complete_policy
from organscope.decide.conformal import ConformalSets, fit_conformal, in_sets
from organscope.decide.contract import OrganContract, Promise, RecallContract, fit_contract, positives_needed, promise
from organscope.decide.costs import Costs, CostTable, costs_of, read_costs
from organscope.decide.expected_cost import expected_costs, least_cost_answers
from organscope.decide.names import organ_number
from organscope.decide.policy import Policy
from organscope.decide.policy_fit import PolicyFigures, fit_policy, measure_policy
from organscope.decide.quality import QualityLimits, look_fault
from organscope.decide.quality_fit import fit_quality
from organscope.decide.together import Together, fit_together
from organscope.decide.unknown import fit_distance_limit, nearest_distance, unit_norm
from organscope.decide.wording import promise_in_words

__all__ = [
    "Answers",
    "ConformalSets",
    "CostTable",
    "Costs",
    "Decision",
    "OrganContract",
    "Policy",
    "PolicyFigures",
    "ProbabilityCurve",
    "Promise",
    "QualityLimits",
    "RecallContract",
    "Rules",
    "Together",
    "complete_policy",
    "costs_of",
    "decide",
    "decide_all",
    "expected_costs",
    "fit_conformal",
    "fit_contract",
    "fit_distance_limit",
    "fit_policy",
    "fit_probability_curve",
    "fit_quality",
    "fit_temperature",
    "fit_together",
    "in_sets",
    "least_cost_answers",
    "look_fault",
    "measure_policy",
    "nearest_distance",
    "organ_number",
    "positives_needed",
    "promise",
    "promise_in_words",
    "read_costs",
    "rules_for",
    "softmax",
    "unit_norm",
]
