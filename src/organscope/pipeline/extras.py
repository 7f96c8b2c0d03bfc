"""What a run writes on request when its images are done: regions of interest, maps, tables for other tools."""

from dataclasses import replace
from pathlib import Path

from organscope.pipeline.image import ReadOptions
from organscope.pipeline.maps import write_maps
from organscope.pipeline.models import Models
from organscope.pipeline.results import RunResult
from organscope.pipeline.rois import write_rois
from organscope.pipeline.spatial import write_spatial


def write_extras(
    result: RunResult,
    reading: ReadOptions,
    models: Models,
    regions: str | Path | None,
    *,
    maps: bool,
    anndata: bool,
    spatialdata: bool,
) -> RunResult:
    """Write them, and say in the result what was written and what could not be."""
    if regions is not None:
        result = write_rois(result, reading, regions)
    if maps:
        result = write_maps(result, reading, models)
    unwritten = write_spatial(result, reading, anndata=anndata, spatialdata=spatialdata)
    return replace(result, failures=(*result.failures, *unwritten))
