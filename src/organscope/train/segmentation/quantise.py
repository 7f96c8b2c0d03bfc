"""Eight-bit integers in place of floating point, where that is faster and costs next to nothing.

Static quantisation in QDQ form: weights signed and symmetric by output channel, activations unsigned, both ranges found
on training tiles (Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference, CVPR 2018). Convolutions, sums and pooling become integers; the up-convolutions stay, because onnxruntime has
no integer kernel for them, the maps, which are read as probabilities, and the first convolution: it costs little, and
what is rounded away of the picture never comes back.
"""

import logging
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from jaxtyping import Float32
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from organscope.bundle import Bundle
from organscope.dataset.index import Sample
from organscope.metrics.segmentation import segmentation_scores
from organscope.ops.instances import decode_cells
from organscope.ops.tiles import Span, padded_length, read_tile
from organscope.predict import predict_maps
from organscope.predict.prepare import Preparation

QUANTISED_OPERATORS = ("Conv", "Add", "MaxPool")
MAX_PQ_LOSS = 0.005
MIN_SPEEDUP = 1.15
N_TILES = 32
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


class _Tiles(CalibrationDataReader):
    def __init__(self, tiles: Iterable[Tile]) -> None:
        self._tiles: Iterator[Tile] = iter(tiles)

    def get_next(self) -> dict[str, np.ndarray] | None:
        tile = next(self._tiles, None)
        return None if tile is None else {"image": tile}


def quantise_graph(graph: bytes, tiles: Iterable[Tile]) -> bytes:
    """The same graph with its convolutions in eight-bit integers.

    Args:
        graph: As `export.export_graph` gives it.
        tiles: Prepared training tiles; the range of every activation is the mean over the tiles of their extremes,
            so that one odd pixel does not make all others coarse.
    """
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as folder:
            plain, ready, done = (Path(folder) / name for name in ("plain.onnx", "ready.onnx", "done.onnx"))
            plain.write_bytes(graph)
            quant_pre_process(plain, ready, skip_symbolic_shape=True)
            first = next(node.name for node in onnx.load(ready).graph.node if node.op_type == "Conv")
            quantize_static(
                ready,
                done,
                _Tiles(tiles),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(QUANTISED_OPERATORS),
                nodes_to_exclude=[first],
                per_channel=True,
                # Seven bits of weight, so that no sum of products overflows 16 bits: processors without dot-product
                # instructions then give the very same integers.
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                extra_options={"CalibMovingAverage": True, "CalibMovingAverageConstant": 0.05},
            )
            return done.read_bytes()
    finally:
        logging.getLogger().setLevel(level)


def prepared_tiles(bundle: Bundle, samples: Sequence[Sample], n: int = N_TILES) -> list[Tile]:
    """Middles of pictures, evenly spaced over the list, as the network takes them."""
    chosen = [samples[i] for i in np.unique(np.linspace(0, len(samples) - 1, n).astype(int))]
    tiles = []
    for sample in chosen:
        with sample.open() as image:
            shape = image.height_px, image.width_px
            spans = [_middle(length, bundle.manifest.spec.stride_px) for length in shape]
            preparation = Preparation(image, bundle.manifest.preprocessing)
            tiles.append(preparation.network_input(read_tile(image.read, shape, *spans))[None])
    return tiles


def compare_bundles(plain: Bundle, integers: Bundle, samples: Sequence[Sample]) -> Trial:
    """Measure two bundles of one network, with the decoder of the first, on validation pictures."""
    tiles = prepared_tiles(plain, samples, N_TIMED)
    seconds = np.array([[_seconds(bundle, tile) for bundle in (plain, integers)] for tile in tiles * 2])
    rows: dict[str, list[tuple[float, float]]] = {}
    for sample in samples:
        truth = sample.read_labels()
        with sample.open() as image:
            found = [decode_cells(predict_maps(image, b), plain.manifest.spec.decoder) for b in (plain, integers)]
        rows.setdefault(sample.dataset, []).append(tuple(segmentation_scores(truth, labels)["pq"] for labels in found))
    pq = np.mean([np.mean(scores, axis=0) for scores in rows.values()], axis=0)
    # The second half: the first run of each shape also finds its memory.
    middle = np.median(seconds[len(tiles) :], axis=0)
    return Trial(float(middle[0] / middle[1]), float(pq[0] - pq[1]))


def replayed(test: bytes, graph: bytes) -> bytes:
    """The test tensors with what this graph makes of their input."""
    import onnxruntime
    from safetensors.numpy import load, save

    batch = load(test)["input"]
    (maps,) = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(["maps"], {"image": batch})
    return save({"input": batch, "maps": maps})


def _middle(length_px: int, stride_px: int) -> Span:
    side = min(padded_length(length_px, stride_px), padded_length(TILE_PX, stride_px))
    start = max(0, (length_px - side) // 2)
    return Span(start, start + side, start, min(start + side, length_px))


def _seconds(bundle: Bundle, tile: Tile) -> float:
    started = time.perf_counter()
    bundle.run(tile)
    return time.perf_counter() - started
