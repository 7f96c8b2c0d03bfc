"""The results of a run as JSON and as a table."""

from dataclasses import asdict
from typing import Any

from rich.console import Console

from organscope.cli.printing import output_console, plain_table, shown
from organscope.jobs import ImageResult, RunResult
from organscope.jobs.cell_answer import cells_row

MOST_ROWS = 40
MOST_NOTES = 5


def as_data(result: RunResult) -> dict[str, Any]:
    """The run as plain data: every image with its figures, every failure with its sentence."""
    return {
        "out": str(result.out),
        "files": [str(path) for path in result.files],
        "images": [_image_data(result, image) for image in result.images],
        "failures": [{"image": failure.name, "message": failure.message} for failure in result.failures],
        "seconds": round(result.seconds, 3),
        "seconds_per_megapixel": result.seconds_per_megapixel,
        "peak_memory_mb": round(result.peak_memory_mb, 1),
    }


def _image_data(result: RunResult, image: ImageResult) -> dict[str, Any]:
    data: dict[str, Any] = {
        "image": str(image.target.source),
        "height_px": image.height_px,
        "width_px": image.width_px,
        "um_per_px": image.um_per_px,
        "selection": asdict(image.selection),
        "notes": list(image.notes),
        "seconds": round(image.seconds, 3),
    }
    if image.areas_px is not None:
        data |= {
            "results": str(result.out / image.target.stem),
            "n_cells": image.n_cells,
            "median_area_px": image.median_area_px,
            "median_area_um2": image.median_area_um2,
        }
    if image.scale is not None:
        data |= {"scale": image.scale.factor, "scale_source": image.scale.source, "scale_note": image.scale.note}
    if image.classification is not None:
        classified = image.classification
        decision = classified.decision
        pairs = zip(classified.organs, classified.probabilities, strict=True)
        data |= {
            "organ": classified.organs[decision.organ_index],
            "confidence": float(decision.confidence),
            "decision": decision.decision,
            "reason": decision.reason,
            "prediction_set": [classified.organs[number] for number in decision.prediction_set],
            "flagged": decision.flagged,
            "probabilities": {organ: float(probability) for organ, probability in pairs},
        }
    if image.cell_answer is not None:
        cells = image.cell_answer
        counts = zip(cells.organs, cells.counts, strict=True)
        data |= cells_row(image.classification, cells)
        data["organs_of_cells"] = {organ: int(n) for organ, n in counts if n}
    return data


def print_results(result: RunResult, seconds_to_start: float) -> None:
    """Print a small table, one row an image, what the run cost, and where the files are."""
    console = output_console()
    if result.images:
        headers, rows = _columns(result)
        table = plain_table(*headers, numbers=("probability", "cells", "median area", "s/MP"))
        for row in rows[:MOST_ROWS]:
            table.add_row(*row)
        console.print(table)
        if len(rows) > MOST_ROWS:
            console.print(f"... and {len(rows) - MOST_ROWS:,} more")
        console.print(
            f"\n{result.seconds_per_megapixel:.1f} s a megapixel, {result.seconds:.1f} s in all after "
            f"{seconds_to_start:.1f} s to start, peak memory {result.peak_memory_mb:,.0f} MB"
        )
    _print_scales(result, console)
    console.print(f"Results: {result.out}", soft_wrap=True)
    for path in result.files:
        if path.suffix == ".html":
            console.print(f"Report: {path}", soft_wrap=True)


def _columns(result: RunResult) -> tuple[list[str], list[list[str]]]:
    headers = ["image"]
    rows = [[shown(image.target.source.name)] for image in result.images]
    if result.images[0].classification is not None:
        headers += ["organ", "probability", "decision"]
        for row, image in zip(rows, result.images, strict=True):
            decision = image.classification.decision
            organ = image.classification.organs[decision.organ_index]
            row += [organ, f"{decision.confidence:.2f}", decision.decision]
    if result.images[0].areas_px is not None:
        headers += ["cells", "median area"]
        for row, image in zip(rows, result.images, strict=True):
            row += [f"{image.n_cells:,}", _area(image)]
    headers += ["s/MP"]
    for row, image in zip(rows, result.images, strict=True):
        row += [f"{image.seconds / image.megapixels:.1f}"]
    return headers, rows


def _print_scales(result: RunResult, console: Console) -> None:
    """One line for each image that the network did not see as it is; the first few, then how many more."""
    scaled = [image for image in result.images if image.scale is not None and image.scale.note]
    for image in scaled[:MOST_NOTES]:
        console.print(f"{shown(image.target.source.name)}: {image.scale.note}", soft_wrap=True)
    if len(scaled) > MOST_NOTES:
        console.print(f"... and {len(scaled) - MOST_NOTES:,} more at another scale")


def _area(image: ImageResult) -> str:
    if image.median_area_um2 is not None:
        return f"{image.median_area_um2:,.1f} um2"
    return "-" if image.median_area_px is None else f"{image.median_area_px:,.0f} px"
