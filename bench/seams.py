"""Are the cells of a slide, worked on region by region, those of the whole at once?

    python bench/seams.py --pictures IMAGES --json bench-seams.json
    python bench/seams.py --quick

Real images in windows of 192 px and a mosaic of them in windows of 1024 px go through a run as slides do; their label
images are compared with those of `segment_image`, which holds the whole image: identical partition, that is, one
label for one label. Also counted is how many cells lie on a seam.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from organscope.inference import segment_image
from organscope.io import open_image, read_labels
from organscope.pipeline import Models, Streaming, load_models, plan_run, run_plan
from slide_mosaic import tissue_images, write_slide

WINDOW_PX, MOSAIC_WINDOW_PX = 192, 1024
QUICK = {"n_pictures": 3, "mosaic_px": 1024}


def main() -> None:
    """Compare, print a table in Markdown, write JSON."""
    arguments = _arguments()
    models = Models(cells=load_models(["segmentation"], arguments.bundle).cells)
    images = tissue_images(arguments.pictures, arguments.n_pictures)
    rows = []
    print("| image | cells, whole | cells, by region | on a seam | same partition |\n|---|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, image in enumerate(images):
            PillowImage.fromarray(image).save(folder / f"picture_{number}.png")
            rows.append(compare(folder / f"picture_{number}.png", folder / "out", models, WINDOW_PX))
        write_slide(folder / "mosaic.tif", arguments.mosaic_px, images)
        rows.append(compare(folder / "mosaic.tif", folder / "out", models, MOSAIC_WINDOW_PX))
    same = sum(row["same"] for row in rows)
    print(f"\n{same} of {len(rows)} with an identical partition")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    sys.exit(same != len(rows))


def compare(path: Path, out: Path, models: Models, window_px: int) -> dict[str, object]:
    """One image both ways."""
    with open_image(path) as image:
        whole = segment_image(image, models.cells).labels
    result = run_plan(plan_run([path], out), models, streaming=Streaming(window_px=window_px, whole_px=0))
    if result.failures:
        sys.exit(result.failures[0].message)
    found = read_labels(out / path.stem / "labels.ome.tif")
    row = {
        "picture": path.name,
        "whole": int(whole.max()),
        "by_region": int(found.max()),
        "on_a_seam": on_a_seam(whole, window_px),
        "same": same_partition(whole, found),
    }
    print(f"| {' | '.join(str(value) for value in row.values())} |", flush=True)
    return row


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether every label of one image is one label of the other."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1] and not pairs[:, 0].any()


def on_a_seam(labels: np.ndarray, window_px: int) -> int:
    """About how many cells a window's side cuts, were all windows full."""
    cut: set[int] = set()
    for axis in (labels, labels.T):
        for place in range(window_px, len(axis), window_px):
            cut |= set(axis[place][axis[place] == axis[place - 1]].tolist())
    return len(cut - {0})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="folder of images of tissue, 512 x 512 px")
    parser.add_argument("--n-pictures", type=int, default=20)
    parser.add_argument("--mosaic-px", type=int, default=4096)
    parser.add_argument("--bundle", action="append", default=[])
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--quick", action="store_true", help="a few small ones")
    arguments = parser.parse_args()
    for name, value in QUICK.items() if arguments.quick else ():
        setattr(arguments, name, value)
    return arguments


if __name__ == "__main__":
    main()
