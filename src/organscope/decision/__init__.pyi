from .aggregation import JointCalibration, fit_joint_calibration
from .calibration import ProbabilityCurve, fit_probability_curve, fit_temperature, softmax
from .conformal import ConformalSets, fit_conformal, in_sets
from .costs import Costs, CostTable, costs_from, costs_of, expected_costs, least_cost_answers, organ_number, read_costs
from .decide import Answers, Decision, Rules, decide, decide_all, rules_for
from .explain import describe_guarantee
from .fitting import PolicyFigures, complete_policy, fit_policy, fit_quality, measure_policy
from .ood import QualityLimits, fit_distance_limit, nearest_distance, quality_issue, unit_norm
from .policy import Policy
from .risk_control import (
    OrganGuarantees,
    RecallGuarantee,
    RecallGuaranteeTable,
    fit_recall_guarantees,
    positives_needed,
    recall_guarantee,
)

__all__ = [
    "Answers",
    "ConformalSets",
    "CostTable",
    "Costs",
    "Decision",
    "JointCalibration",
    "OrganGuarantees",
    "Policy",
    "PolicyFigures",
    "ProbabilityCurve",
    "QualityLimits",
    "RecallGuarantee",
    "RecallGuaranteeTable",
    "Rules",
    "complete_policy",
    "costs_from",
    "costs_of",
    "decide",
    "decide_all",
    "describe_guarantee",
    "expected_costs",
    "fit_conformal",
    "fit_distance_limit",
    "fit_joint_calibration",
    "fit_policy",
    "fit_probability_curve",
    "fit_quality",
    "fit_recall_guarantees",
    "fit_temperature",
    "in_sets",
    "least_cost_answers",
    "measure_policy",
    "nearest_distance",
    "organ_number",
    "positives_needed",
    "quality_issue",
    "read_costs",
    "recall_guarantee",
    "rules_for",
    "softmax",
    "unit_norm",
]
