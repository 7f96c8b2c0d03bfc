"""The state of a run for a person."""

from organscope.cli.printing import output_console, plain_table, shown
from organscope.jobs.slide_plan import duration_text
from organscope.jobs.status import RunStatus

MOST_ROWS = 20

WORDS = {
    "running": "The run goes on.",
    "interrupted": "The run was interrupted. The same command goes on with it.",
    "ended": "The run has ended.",
    "elsewhere": "The run was started on another machine; its last sign of life was {ago} ago.",
}


def print_status(status: RunStatus) -> None:
    """Print what is done, what is at work, what failed, and how long the rest will take."""
    console = output_console()
    console.print(WORDS[status.state].format(ago=duration_text(status.last_sign_s)))
    counts = [(status.n_done, "done"), (len(status.present), "at work"), (status.n_waiting, "waiting")]
    counts.append((len(status.quarantined), "quarantined"))
    console.print(f"{status.n_images:,} images: " + ", ".join(f"{n:,} {what}" for n, what in counts if n))
    for slide in status.present[:MOST_ROWS]:
        share = slide.n_done / max(1, slide.n_regions)
        console.print(f"  {shown(slide.source)}: {slide.n_done:,} of {slide.n_regions:,} regions ({share:.0%})")
    if status.seconds_left is not None:
        console.print(f"{status.megapixels_left:,.0f} megapixels left, about {duration_text(status.seconds_left)}")
    if status.quarantined:
        table = plain_table("quarantined", "why")
        for image in status.quarantined[:MOST_ROWS]:
            table.add_row(shown(image.source), shown(image.message))
        console.print(table)
        if len(status.quarantined) > MOST_ROWS:
            console.print(f"... and {len(status.quarantined) - MOST_ROWS:,} more")
