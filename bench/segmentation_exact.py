"""Does a prediction in tiles equal that of the whole, bit by bit, at full size?

    python bench/segmentation_exact.py --side 4096 --bundle nuclei

Predicts a mosaic (`bench/mosaic.py`) in one piece and in tiles of several sizes, as it is and at another scale, and
compares maps, labels and probabilities. Ends with exit code 1 where a single bit differs. A piece of 4096 x 4096 px
needs about 8 GB of memory.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from mosaic import write_mosaic
from organscope.inference import predict_maps
from organscope.inference.maps import MAX_TILE_PX
from organscope.inference.segment import decoder_at
from organscope.inference.stitching import decode_bands
from organscope.io import open_image
from organscope.models import load_bundle

ROWS = 700


def main() -> None:
    """Compare, print, and say by the exit code."""
    arguments = _arguments()
    bundle = load_bundle(arguments.bundle)
    equal = True
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mosaic.tif"
        write_mosaic(path, arguments.side)
        for factor in arguments.factors:
            with open_image(path) as image:
                whole = predict_maps(image, bundle, factor=factor, max_tile_px=None)
                cells = _cells([whole], bundle, factor)
                for max_tile_px in (MAX_TILE_PX // 4, MAX_TILE_PX):
                    tiled = predict_maps(image, bundle, factor=factor, max_tile_px=max_tile_px)
                    same = np.array_equal(tiled, whole)
                    rows = np.array_split(tiled, max(1, len(tiled) // ROWS))
                    same_cells = all(map(np.array_equal, _cells(rows, bundle, factor), cells))
                    print(
                        f"scale {factor:g}, tiles of {max_tile_px / 1e6:.2f} megapixels: maps "
                        f"{'equal' if same else 'DIFFER'}, {cells[0].max()} cells {'equal' if same_cells else 'DIFFER'}"
                    )
                    equal &= same and same_cells
    sys.exit(0 if equal else 1)


def _cells(bands: list[np.ndarray], bundle, factor: float) -> tuple[np.ndarray, np.ndarray]:
    shape = (sum(len(band) for band in bands), bands[0].shape[1])
    return decode_bands(bands, shape, decoder_at(bundle.manifest.spec.decoder, factor))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--bundle", default="nuclei")
    parser.add_argument("--factors", type=float, nargs="+", default=[1.0, 0.6])
    return parser.parse_args()


if __name__ == "__main__":
    main()
