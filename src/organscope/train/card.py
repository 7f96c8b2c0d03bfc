"""The model card of a bundle: data, scores, licence, limits, in the words of the configuration."""

from collections.abc import Sequence

from organscope.bundle import Score
from organscope.train.settings import BundleSettings


def render_card(settings: BundleSettings, scores: Sequence[Score], facts: Sequence[str]) -> str:
    """Write the card in Markdown.

    Args:
        settings: Name, summary, licence, data and limits.
        scores: As they stand in the manifest.
        facts: One sentence each about the network, its training and its calibration.
    """
    parts = [
        f"# {settings.name} {settings.version}",
        settings.summary,
        "For research use, not a medical device.",
        "## Network and training\n\n" + "\n".join(f"- {fact}" for fact in facts),
        "## Data\n\n" + settings.data_statement.strip(),
        "## Measured\n\n" + _score_table(scores),
        "## Limits\n\n" + settings.limits.strip(),
        f"## Licence\n\n{settings.licence}",
    ]
    return "\n\n".join(parts) + "\n"


def _score_table(scores: Sequence[Score]) -> str:
    if not scores:
        return "Not measured: the configuration names no test pictures."
    rows = ["| data | pictures | figure | value | 95 % interval |", "| --- | --- | --- | --- | --- |"]
    for score in scores:
        interval = "" if score.low is None else f"{score.low:.3f} to {score.high:.3f}"
        data = f"{score.dataset}, {score.subset}"
        rows.append(f"| {data} | {score.n_images} | {score.metric} | {score.value:.3f} | {interval} |")
    return "\n".join(rows)
