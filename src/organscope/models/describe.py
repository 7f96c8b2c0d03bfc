"""A bundle in words, for `organscope bundle show`."""

from collections.abc import Sequence

from organscope.decision.aggregation import JointCalibration
from organscope.decision.explain import share
from organscope.decision.policy import Policy
from organscope.decision.risk_control import recall_guarantee
from organscope.models.manifest import (
    CellKindsSpec,
    Certificate,
    ClassificationSpec,
    Manifest,
    Score,
    SegmentationSpec,
    certificate_in_words,
)
from organscope.ops.instances import decoder_in_words

_LEAST_RECALL = 0.5
"""Lower promises are not worth a line."""


def describe(manifest: Manifest, certificate: Certificate | None = None) -> str:
    """What a person wants to know before using a bundle, as plain text of several lines."""
    rows = [
        ("Task", manifest.spec.task),
        ("Version", f"{manifest.version}, made {manifest.created:%Y-%m-%d %H:%M} UTC"),
        ("Licence", manifest.licence),
        ("Classes", f"{len(manifest.classes)}: {', '.join(manifest.classes)}"),
        ("Pixel size", f"{manifest.um_per_px:g} um" if manifest.um_per_px else "not fixed"),
        ("Network", _network(manifest)),
        ("Intensities", _intensities(manifest)),
        *_task_rows(manifest),
        ("Trained on", f"data with fingerprint {manifest.data_fingerprint[:16]}"),
        ("Size", f"{manifest.size_bytes / 1e6:.1f} MB in {len(manifest.files)} files"),
    ]
    lines = [f"{manifest.name}: {manifest.summary}", ""]
    lines += [f"{label:<14}{value}" for label, value in rows]
    lines += ["", "Scores"] + ([f"  {_score(score)}" for score in manifest.scores] or ["  none measured"])
    lines += ["", *(certificate_in_words(certificate) if certificate else ["Parity: not compared"])]
    return "\n".join(lines)


def score_table(scores: Sequence[Score]) -> str:
    """Scores as a table in Markdown, for a model card."""
    rows = ["| data | images | figure | value | 95 % interval |", "| --- | --- | --- | --- | --- |"]
    for score in scores:
        interval = "" if score.low is None else f"{score.low:.3f} to {score.high:.3f}"
        data = f"{score.dataset}, {score.subset}"
        rows.append(f"| {data} | {score.n_images} | {score.metric} | {score.value:.3f} | {interval} |")
    return "\n".join(rows)


def _network(manifest: Manifest) -> str:
    architecture = ", ".join(f"{key} {value}" for key, value in manifest.weights.architecture.items())
    how = f"{manifest.weights.framework} ({architecture})" if architecture else "of another program"
    return f"{how}, ONNX opset {manifest.graph.opset}"


def _intensities(manifest: Manifest) -> str:
    spec = manifest.preprocessing
    if spec.intensity == "full_range":
        return "full range of the pixel type"
    return f"percentiles {spec.low_percentile:g} to {spec.high_percentile:g} of each image"


def _task_rows(manifest: Manifest) -> list[tuple[str, str]]:
    if isinstance(manifest.spec, ClassificationSpec):
        return _classification_rows(manifest.spec)
    if isinstance(manifest.spec, CellKindsSpec):
        return _cell_kinds_rows(manifest.spec)
    return _segmentation_rows(manifest.spec)


def _segmentation_rows(spec: SegmentationSpec) -> list[tuple[str, str]]:
    calibrated = "measured" if spec.cell_calibration else "not calibrated"
    diameter = f"about {spec.typical_diameter_px:.0f} px wide" if spec.typical_diameter_px else "of a size not measured"
    return [
        ("Cells", diameter),
        ("Maps", ", ".join(spec.maps)),
        ("Tiles", f"multiples of {spec.stride_px} px, {spec.halo_px} px around each"),
        ("Decoder", decoder_in_words(spec.decoder)),
        ("Probability", calibrated),
        ("Few misses", "measured, see --min-cell-recall" if spec.operating_points else "not measured"),
    ]


def _classification_rows(spec: ClassificationSpec) -> list[tuple[str, str]]:
    policy = spec.policy
    of_what = "around each cell" if spec.subject == "cell" else "of the image"
    return [
        ("Names", "the organ of each cell" if spec.subject == "cell" else "the organ of an image"),
        ("Field", f"{spec.field_px} px {of_what}, resized to {spec.input_px} px{_sides(spec)}"),
        (
            "Accepts",
            f"confidence at temperature {policy.temperature:.2f} of at least {policy.min_confidence:.2f}, "
            f"distance to training image {policy.n_neighbours} of at most {policy.max_distance:.2f}",
        ),
        ("Looks", "blank, blurred and strange ones are refused" if policy.quality else "not judged"),
        *_promise_rows(policy),
        *_together_rows(spec.together),
    ]


def _cell_kinds_rows(spec: CellKindsSpec) -> list[tuple[str, str]]:
    policy, shares = spec.policy, spec.shares
    within = "not measured"
    if shares is not None:
        within = f"within {max(shares.margins):.2f} for {shares.coverage:.0%} of {shares.n_groups} patients or slides"
    size = f", cells about {spec.typical_diameter_px:.0f} px wide" if spec.typical_diameter_px else ""
    return [
        ("Names", "the kind of each cell that another bundle found; use it with --cell-kinds"),
        ("Sees", f"{spec.halo_px} px around each cell{size}"),
        (
            "Sure",
            f"confidence at temperature {policy.temperature:.2f} of at least {policy.min_confidence:.2f}, "
            f"distance to training cell {policy.n_neighbours} of at most {policy.max_distance:.2f}",
        ),
        ("Shares", within),
        *_promise_rows(policy),
    ]


def _together_rows(together: JointCalibration | None) -> list[tuple[str, str]]:
    """How an image and its cells decide together."""
    if together is None:
        return []
    policy = together.policy
    accepts = f"confidence at temperature {policy.temperature:.2f} of at least {policy.min_confidence:.2f}"
    rows = [("Together", f"with {together.image_bundle}, image and cells counting alike; accepts {accepts}")]
    return [*rows, *_promise_rows(policy)]


def _sides(spec: ClassificationSpec) -> str:
    return f"; turned to all four sides where the answer is below {spec.second_look:g}" if spec.second_look else ""


def _promise_rows(policy: Policy) -> list[tuple[str, str]]:
    """What the bundle promises, the organs with the highest recall first."""
    rows = []
    if policy.conformal is not None:
        rows.append(("Sets", f"hold the true organ of {policy.conformal.coverage:.0%} of exchangeable images"))
    if policy.contract is not None:
        promises = [recall_guarantee(policy.contract, entry.organ) for entry in policy.contract.organs]
        promises.sort(key=lambda found: (-found.level, found.organ))
        words = [
            f"{found.organ} {share(found.level)} at {found.false_alarm_rate:.0%} false alarms"
            for found in promises
            if found.level >= _LEAST_RECALL and found.n_negative
        ]
        said = "; ".join(words) or f"less than {_LEAST_RECALL:.0%} for every organ, for want of calibration images"
        rows.append(("Recall", f"at {policy.contract.confidence:.0%} confidence: {said}"))
    return rows


def _score(score: Score) -> str:
    interval = f" [{score.low:.3f}, {score.high:.3f}]" if score.low is not None and score.high is not None else ""
    subset = f" {score.subset}" if score.subset else ""
    return f"{score.dataset}{subset}: {score.metric} {score.value:.3f}{interval}, {score.n_images} images"
