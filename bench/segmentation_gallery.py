"""The worst images of an evaluation, with the outlines of truth and prediction, as one figure.

    python bench/segmentation_gallery.py nuclei indexes/nuinsseg --fold 1 -o docs/images/segmentation_worst.png \\
        --attribution "NuInsSeg, Mahbod et al., Scientific Data 11:295 (2024), CC BY 4.0, cropped and re-encoded"
    python bench/segmentation_gallery.py runs/em/bundle indexes/isbi2012_em --fold 1 -o docs/images/em.png \\
        --best --no-pictures --n 2

Scores every image of the folds through the use side, takes those of the lowest PQ (`--metric` for another, `--best`
for the highest) and draws them in rows of four. Yellow: true cells that were found (IoU .5 or more). Cyan: true cells
that were missed. Blue: predicted cells that match none. Above each image stand its name, its scores and what was
missed. Only images whose license allows it belong into the documentation: `--attribution` is drawn below them. Where
neither image nor truth may be shown, `--no-pictures` draws the predicted cells alone: colored those that were found,
in gray those that match none. A table of what was drawn lies beside the figure (.csv).
"""

import argparse
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from organscope.data import read_index
from organscope.data.index import Sample
from organscope.evaluation.metrics.segmentation import match_cells
from organscope.evaluation.segmentation import score_images
from organscope.inference import segment_image
from organscope.models import load_bundle
from organscope.reporting.overlays import outline_pixels, shrunk_to_bytes

matplotlib.use("Agg")


COLUMNS = 4
SIDE_PX = 512
FOUND, MISSED, FALSE = (255, 230, 0), (0, 255, 230), (0, 90, 255)
WRONG = (110, 110, 110)


def main() -> None:
    """Score, choose, draw."""
    arguments = _arguments()
    bundle = load_bundle(arguments.bundle)
    samples = [s for s in read_index(arguments.index).samples(arguments.fold) if s.labels_path is not None]
    scores, _ = score_images(bundle, samples, lambda done, total: None)
    scores = scores[scores["n_truth"] > 0].sort_values(arguments.metric, ascending=not arguments.best)
    by_id = {sample.id: sample for sample in samples}
    chosen = scores.head(arguments.n)
    drawn = [_panel(by_id[row.id], row, bundle, arguments) for row in chosen.itertuples()]
    _draw(drawn, arguments)
    table = pd.DataFrame([row for _, row in drawn])
    table.to_csv(arguments.output.with_suffix(".csv"), index=False)
    print(table.to_string(index=False))


def _panel(sample: Sample, scores, bundle, arguments: argparse.Namespace) -> tuple[np.ndarray, dict]:
    truth = sample.read_labels()
    with sample.open() as image:
        predicted = segment_image(image, bundle).labels
        pixels, value_range = image.read_whole(), image.value_range
    pairs = match_cells(truth, predicted)
    matched = pairs.matched(0.5)
    found = np.isin(truth, pairs.truth_ids[pairs.truth[matched]])
    right = np.isin(predicted, pairs.predicted_ids[pairs.predicted[matched]])
    row = {
        "id": sample.id,
        "dataset": sample.dataset,
        "organ": sample.organ,
        "dice": round(scores.dice, 3),
        "pq": round(scores.pq, 3),
        "n_truth": scores.n_truth,
        "missed": scores.n_truth - scores.n_matched_50,
        "false": scores.n_predicted - scores.n_matched_50,
    }
    if not arguments.pictures:
        return _colored(predicted, right), row
    picture, _ = shrunk_to_bytes(pixels, truth, value_range, max_side_px=SIDE_PX)
    for labels, color in (
        (np.where(found, truth, 0), FOUND),
        (np.where(found, 0, truth), MISSED),
        (np.where(right, 0, predicted), FALSE),
    ):
        _, small = shrunk_to_bytes(pixels, labels.astype(np.int32), value_range, max_side_px=SIDE_PX)
        line, _ = outline_pixels(small)
        picture[line] = color
    return picture, row


def _colored(labels: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Cells on black: in colors that neighbors seldom share, in gray where they are not right."""
    colors = np.random.default_rng(3).integers(60, 256, (int(labels.max()) + 1, 3)).astype(np.uint8)
    image = np.where(right[..., None], colors[labels], WRONG)
    return np.where(labels[..., None] > 0, image, 0).astype(np.uint8)


def _draw(drawn: list[tuple[np.ndarray, dict]], arguments: argparse.Namespace) -> None:
    columns = min(COLUMNS, len(drawn))
    rows = -(-len(drawn) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.2 * columns, 3.9 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (image, row) in zip(axes.flat, drawn, strict=False):
        axis.imshow(image)
        text = f"{row['id']}\nPQ {row['pq']:.2f}, Dice {row['dice']:.2f}; {row['n_truth']} true cells, "
        axis.set_title(f"{text}{row['missed']} missed, {row['false']} false", fontsize=7)
    note = "Yellow: found. Cyan: missed. Blue: false." if arguments.pictures else "Predicted cells. Gray: false."
    figure.text(0.01, 0.005, f"{note} {arguments.attribution}", fontsize=7)
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.output, dpi=110)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("index", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="PNG file")
    parser.add_argument("--fold", type=int, help="this fold only")
    parser.add_argument("--metric", default="pq", help="column of per_image.csv")
    parser.add_argument("--best", action="store_true", help="the best images, not the worst")
    parser.add_argument("--n", type=int, default=12)
    parser.add_argument("--attribution", default="", help="authors and license of the images")
    parser.add_argument("--no-pictures", dest="pictures", action="store_false", help="cells alone")
    return parser.parse_args()


if __name__ == "__main__":
    main()
