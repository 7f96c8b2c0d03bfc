"""The model card of a bundle: data, scores, licence, limits, in the words of the configuration."""

from collections.abc import Sequence

from organscope.bundle import Score
from organscope.bundle.describe import score_table
from organscope.train.settings import BundleSettings

NOT_MEASURED = "Not measured: the configuration names no test pictures."


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
        "## Measured\n\n" + (score_table(scores) if scores else NOT_MEASURED),
        "## Limits\n\n" + settings.limits.strip(),
        f"## Licence\n\n{settings.licence}",
    ]
    return "\n\n".join(parts) + "\n"
