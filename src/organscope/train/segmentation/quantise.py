"""Eight-bit integers in place of floating point, where that is faster and costs next to nothing.

All becomes integers (`blocks` lays the graph out for it) but the maps, which are read as probabilities, and the first
convolution: it costs little, and what is rounded away of the picture never comes back. How: `train.quantise`.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from jaxtyping import Float32

from organscope.bundle import Bundle
from organscope.dataset.index import Sample
from organscope.metrics.segmentation import defined_mean, segmentation_scores
from organscope.ops.instances import decode_cells
from organscope.ops.tiles import Span, padded_length, read_tile
from organscope.predict import predict_maps
from organscope.predict.prepare import Preparation
from organscope.train.graphs import before_convolutions
from organscope.train.quantise import quantise
from organscope.train.segmentation.blocks import in_blocks

QUANTISED_OPERATORS = ("Conv", "Relu", "Add", "MaxPool", "Reshape", "Transpose")
MAX_PQ_LOSS = 0.005
MIN_SPEEDUP = 1.15
N_TILES = 256
TILE_PX = 256
N_TIMED = 5

Tile = Float32[np.ndarray, "1 y x 3"]


@dataclass(frozen=True)
class Trial:
    """What integers gain and cost.

    Attributes:
        speedup: Seconds of the network in floating point for one in integers, on validation tiles.
        pq_loss: Mean PQ in floating point less that in integers; the mean over data sets of validation pictures.
    """

    speedup: float
    pq_loss: float

    @property
    def worth_it(self) -> bool:
        """Faster, at a loss that nobody would see."""
        return self.speedup >= MIN_SPEEDUP and self.pq_loss <= MAX_PQ_LOSS

    def sentence(self, used: bool) -> str:
        """For the card and for the person who watches."""
        kept = "used" if used else "not used"
        return (
            f"Eight-bit integers: {self.speedup:.1f} times as fast, {self.pq_loss:+.4f} PQ lost on validation; {kept}."
        )


def quantise_graph(graph: bytes, tiles: Iterable[Tile]) -> bytes:
    """The same graph in eight-bit integers.

    Args:
        graph: As `export.export_graph` gives it.
        tiles: Prepared training tiles.
    """
    return quantise(in_blocks(graph), tiles, operators=QUANTISED_OPERATORS, left_out=_both_ends)


def prepared_tiles(bundle: Bundle, samples: Sequence[Sample], n: int = N_TILES) -> Iterator[Tile]:
    """Middles of pictures, evenly spaced over the list, as the network takes them."""
    chosen = [samples[i] for i in np.unique(np.linspace(0, len(samples) - 1, n).astype(int))]
    for sample in chosen:
        with sample.open() as image:
            shape = image.height_px, image.width_px
            spans = [_middle(length, bundle.manifest.spec.stride_px) for length in shape]
            preparation = Preparation(image, bundle.manifest.preprocessing)
            yield preparation.network_input(read_tile(image.read, shape, *spans))[None]


def compare_bundles(plain: Bundle, integers: Bundle, samples: Sequence[Sample]) -> Trial:
    """Measure two bundles of one network, with the decoder of the first, on validation pictures."""
    tiles = list(prepared_tiles(plain, samples, N_TIMED))
    # One after the other: the threads of a session wait for more work, awake, and would slow the other.
    seconds = np.array([[_seconds(bundle, tile) for tile in tiles * 2] for bundle in (plain, integers)])
    rows: dict[str, list[tuple[float, float]]] = {}
    for sample in samples:
        truth = sample.read_labels()
        with sample.open() as image:
            found = [decode_cells(predict_maps(image, b), plain.manifest.spec.decoder) for b in (plain, integers)]
        rows.setdefault(sample.dataset, []).append(tuple(segmentation_scores(truth, labels)["pq"] for labels in found))
    pq = defined_mean([defined_mean(scores) for scores in rows.values()])
    # The second half: the first run of each shape also finds its memory.
    middle = np.median(seconds[:, len(tiles) :], axis=1)
    return Trial(float(middle[0] / middle[1]), float(pq[0] - pq[1]))


def _both_ends(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes up to the first convolution, and from the last convolutions on."""
    nodes, body = list(model.graph.node), before_convolutions(model)
    first = next(i for i, node in enumerate(nodes) if node.op_type == "Conv")
    return [node.name for i, node in enumerate(nodes) if i <= first or not body & set(node.output)]


def _middle(length_px: int, stride_px: int) -> Span:
    side = min(padded_length(length_px, stride_px), padded_length(TILE_PX, stride_px))
    start = max(0, (length_px - side) // 2)
    return Span(start, start + side, start, min(start + side, length_px))


def _seconds(bundle: Bundle, tile: Tile) -> float:
    started = time.perf_counter()
    bundle.run(tile)
    return time.perf_counter() - started
