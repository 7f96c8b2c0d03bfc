"""How figures look on light and on dark ground: the colours of the page's own style sheet."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110
WIDTH_INCHES = 8.6


@dataclass(frozen=True)
class Theme:
    """Colours of a figure; `bar` is told from `mark` with any colour vision (Okabe and Ito 2008)."""

    name: str
    ground: str
    text: str
    line: str
    bar: str
    mark: str


LIGHT = Theme("light", "#ffffff", "#1b1f24", "#d5dae0", "#0072b2", "#9a4a00")
DARK = Theme("dark", "#14171b", "#e8eaed", "#363c45", "#56b4e9", "#f2b25c")
THEMES = (LIGHT, DARK)


@contextmanager
def themed(theme: Theme) -> Iterator[None]:
    """Matplotlib and seaborn draw in the colours of the theme, without a display."""
    import matplotlib as mpl
    import seaborn as sns

    settings = {
        "figure.facecolor": theme.ground,
        "axes.facecolor": theme.ground,
        "savefig.facecolor": theme.ground,
        "axes.edgecolor": theme.line,
        "axes.labelcolor": theme.text,
        "axes.titlecolor": theme.text,
        "text.color": theme.text,
        "xtick.color": theme.text,
        "ytick.color": theme.text,
        "grid.color": theme.line,
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        # Names of organs and slides are text, not formulas.
        "text.parse_math": False,
    }
    with mpl.rc_context(), sns.axes_style("ticks", settings):
        mpl.rcParams.update(settings)
        yield


def new_figure(height_inches: float) -> "Figure":
    """An empty figure of the page's width; made without pyplot, so that nothing global keeps it."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH_INCHES, height_inches), dpi=DOTS_PER_INCH, layout="constrained")


def to_png(figure: "Figure") -> bytes:
    """The figure as PNG."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def data_uri(picture: bytes, kind: str) -> str:
    """A picture as the address of an image in a page; `kind` is png or jpeg."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"
