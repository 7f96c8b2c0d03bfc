"""Public data sets by their official addresses."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublicSet:
    """A set that anyone may download.

    Attributes:
        name: What `organscope data fetch` takes.
        title: What it holds.
        url: Official address of a zip archive.
        sha256: Of the archive; None where its publisher gives none and nobody has confirmed one.
        size_mb: Of the archive, where known.
        licence: As published.
        citation: To be cited with results.
    """

    name: str
    title: str
    url: str
    sha256: str | None
    size_mb: int | None
    licence: str
    citation: str


_ALL = (
    PublicSet(
        name="dsb2018",
        title="Fluorescence nuclei: the part of BBBC038 (Data Science Bowl 2018) that StarDist uses, 497 images",
        url="https://github.com/stardist/stardist/releases/download/0.1.0/dsb2018.zip",
        sha256="e44921950edce378063aa4457e625581ba35b4c2dbd9a07c19d48900129f386f",
        size_mb=None,
        licence="CC0 1.0",
        citation="Caicedo et al., Nature Methods 16:1247 (2019); Schmidt et al., MICCAI 2018",
    ),
    PublicSet(
        name="nuinsseg",
        title="H&E nuclei of 31 human and mouse organs, 665 images",
        url="https://zenodo.org/records/10518968/files/NuInsSeg.zip",
        sha256=None,
        size_mb=1627,
        licence="CC BY 4.0",
        citation="Mahbod et al., Scientific Data 11:295 (2024), doi 10.1038/s41597-024-03117-2",
    ),
)

PUBLIC_SETS = {public.name: public for public in _ALL}
