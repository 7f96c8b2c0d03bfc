from .answers import Answers, Decision, Rules, decide, decide_all
from .asking import rules_for
from .calibration import ProbabilityCurve, fit_probability_curve, fit_temperature, softmax
from .completion import complete_policy
from .conformal import ConformalSets, fit_conformal, in_sets
from .contract import OrganContract, Promise, RecallContract, fit_contract, positives_needed, promise
from .costs import Costs, CostTable, costs_from, costs_of, read_costs
from .expected_cost import expected_costs, least_cost_answers
from .names import organ_number
from .policy import Policy
from .policy_fit import PolicyFigures, fit_policy, measure_policy
from .quality import QualityLimits, look_fault
from .quality_fit import fit_quality
from .together import Together, fit_together
from .unknown import fit_distance_limit, nearest_distance, unit_norm
from .wording import promise_in_words

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
    "costs_from",
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
