"""Eight-bit integers in place of floating point, where that is faster and costs next to nothing.

All becomes integers (`blocks` lays the graph out for it) but the maps, which are read as probabilities, and the first
convolution: it costs little, and what is rounded away of the image never comes back. How: `training.quantize`.

The same graph in operators that onnxruntime computes fast in eight-bit integers.

It has no integer kernel for up-convolutions, and its integer convolutions want their channels last. So an
up-convolution of 2 x 2 pixels becomes a convolution of single pixels with four times the channels, whose results are
laid side by side (as in Shi et al., Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
Convolutional Neural Network, CVPR 2016), and what the first convolution gives, which stays in floating point, is handed
on with its channels last. The maps stay the same but for the order of sums; in integers they take half the time.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from jaxtyping import Float32
from onnx import helper, numpy_helper

from organscope.data.index import Sample
from organscope.evaluation.metrics.segmentation import defined_mean, segmentation_scores
from organscope.inference import predict_maps
from organscope.inference.preprocess import ImageNormalizer
from organscope.models import Bundle
from organscope.ops.instances import decode_cells
from organscope.ops.tiling import Span, padded_length, read_tile
from organscope.training.quantize import before_convolutions, quantize, works_on_blocks

_CHANNELS_LAST = (0, 2, 3, 1)
_CHANNELS_FIRST = (0, 3, 1, 2)


def in_blocks(graph: bytes) -> bytes:
    """Rewrite a graph for integers.

    Args:
        graph: As `export.export_graph` gives it.
    """
    rewriting = _Rewriting(onnx.load_from_string(graph))
    rewriting.lay_up_convolutions()
    rewriting.hand_on_channels_last()
    return rewriting.result()


class _Rewriting:
    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._nodes = list(model.graph.node)

    def result(self) -> bytes:
        """What still leads to the output."""
        wanted, kept = {value.name for value in self._model.graph.output}, []
        for node in reversed(self._nodes):
            if wanted & set(node.output):
                kept.append(node)
                wanted |= set(node.input)
        graph = self._model.graph
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(reversed(kept))
        graph.initializer.extend(tensor for name, tensor in self._weights.items() if name in wanted)
        onnx.checker.check_model(self._model)
        return self._model.SerializeToString()

    def lay_up_convolutions(self) -> None:
        """Replace every up-convolution of 2 x 2 pixels without overlap."""
        for node in [node for node in self._nodes if node.op_type == "ConvTranspose" and works_on_blocks(node)]:
            result = self._after_cropping(node)
            value, given = node.output[0], result.output[0]
            result.output[0] = f"{given}_before"
            weights = self._array(node.input[1])  # channels, filters, y, x
            n_channels, n_filters = weights.shape[:2]
            single = weights.transpose(2, 3, 1, 0).reshape(4 * n_filters, n_channels, 1, 1)
            inputs = [node.input[0], self._add(f"{value}_single", single)]
            # Some biases stay sums of their own.
            inputs += [self._add(f"{value}_bias", np.tile(self._array(bias), 4)) for bias in node.input[2:]]
            convolution = helper.make_node("Conv", inputs, [f"{value}_blocks"], f"{value}_blocks", kernel_shape=[1, 1])
            place = self._nodes.index(node)
            self._nodes[place:place] = [convolution, *self._side_by_side(convolution.output[0], given, n_filters)]

    def hand_on_channels_last(self) -> None:
        """Turn what the first convolution gives to channels last and back.

        onnxruntime cancels turns that meet, but moves none past a change of shape, even one that changes nothing: so
        the second turn goes on to the integer convolutions and sums, which then need no turn of their own.
        """
        convolution = next(node for node in self._nodes if node.op_type == "Conv")
        n_filters = self._array(convolution.input[1]).shape[0]
        takers = [node for node in self._nodes if convolution.output[0] in node.input]
        last = takers[0] if [node.op_type for node in takers] in (["Relu"], ["Clip"]) else convolution
        given, place = last.output[0], self._nodes.index(last) + 1
        last.output[0] = f"{given}_before"
        steps = [_CHANNELS_LAST, [0, 0, 0, 1, n_filters], [0, 0, 0, n_filters], _CHANNELS_FIRST]
        self._nodes[place:place] = self._chain(last.output[0], given, steps)

    def _after_cropping(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """The last of the cuts and margins of nothing that tf2onnx puts after an up-convolution of any size."""
        while True:
            takers = [n for n in self._nodes if node.output[0] in n.input[:1] and n.op_type in ("Slice", "Pad")]
            if len(takers) != 1 or node.op_type == "Pad":
                return node
            node = takers[0]

    def _side_by_side(self, value: str, result: str, n_filters: int) -> list[onnx.NodeProto]:
        """Channels (row, column, filter) of each pixel become its 2 x 2 pixels; a 0 keeps a side as it is."""
        row_by_row = (0, 1, 3, 2, 4)
        apart, rows_joined = [0, 0, 0, 2, 2 * n_filters], [0, -1, 1, 0, 2 * n_filters]
        joined = [0, 0, -1, n_filters]
        steps = [_CHANNELS_LAST, apart, row_by_row, rows_joined, joined, _CHANNELS_FIRST]
        return self._chain(value, result, steps)

    def _chain(self, value: str, result: str, steps: list[tuple[int, ...] | list[int]]) -> list[onnx.NodeProto]:
        """Nodes that turn (a tuple, the order of axes) or reshape (a list, the shape) one after the other."""
        nodes = []
        for number, step in enumerate(steps):
            name = result if number == len(steps) - 1 else f"{result}_{number}"
            if isinstance(step, tuple):
                nodes.append(helper.make_node("Transpose", [value], [name], f"{name}_turn", perm=step))
            else:
                shape = self._add(f"{name}_shape", np.array(step, np.int64))
                nodes.append(helper.make_node("Reshape", [value, shape], [name], f"{name}_reshape"))
            value = name
        return nodes

    def _array(self, name: str) -> np.ndarray:
        return numpy_helper.to_array(self._weights[name])

    def _add(self, name: str, values: np.ndarray) -> str:
        self._weights[name] = numpy_helper.from_array(values, name)
        return name


_QUANTIZED_OPERATORS = ("Conv", "Relu", "Clip", "Add", "MaxPool", "Reshape", "Transpose")
_MAX_PQ_LOSS = 0.005
_MIN_SPEEDUP = 1.15
_N_TILES = 256
_TILE_PX = 256
_N_TIMED = 5

_Tile = Float32[np.ndarray, "1 y x 3"]


@dataclass(frozen=True)
class Trial:
    """What integers gain and cost.

    Attributes:
        speedup: Seconds of the network in floating point for one in integers, on validation tiles.
        pq_loss: Mean PQ in floating point less that in integers; the mean over data sets of validation images.
    """

    speedup: float
    pq_loss: float

    @property
    def worth_it(self) -> bool:
        """Faster, at a loss that nobody would see."""
        return self.speedup >= _MIN_SPEEDUP and self.pq_loss <= _MAX_PQ_LOSS

    def sentence(self, used: bool) -> str:
        """For the card and for the person who watches."""
        kept = "used" if used else "not used"
        return (
            f"Eight-bit integers: {self.speedup:.1f} times as fast, {self.pq_loss:+.4f} PQ lost on validation; {kept}."
        )


def quantize_graph(graph: bytes, tiles: Iterable[_Tile]) -> bytes:
    """The same graph in eight-bit integers.

    Args:
        graph: As `export.export_graph` gives it.
        tiles: Prepared training tiles.
    """
    return quantize(in_blocks(graph), tiles, operators=_QUANTIZED_OPERATORS, left_out=_both_ends)


def prepared_tiles(bundle: Bundle, samples: Sequence[Sample], n: int = _N_TILES) -> Iterator[_Tile]:
    """Middles of images, evenly spaced over the list, as the network takes them."""
    chosen = [samples[i] for i in np.unique(np.linspace(0, len(samples) - 1, n).astype(int))]
    for sample in chosen:
        with sample.open() as image:
            shape = image.height_px, image.width_px
            spans = [_middle(length, bundle.manifest.segmentation.stride_px) for length in shape]
            preparation = ImageNormalizer(image, bundle.manifest.preprocessing)
            yield preparation.network_input(read_tile(image.read, shape, *spans))[None]


def compare_bundles(plain: Bundle, integers: Bundle, samples: Sequence[Sample]) -> Trial:
    """Measure two bundles of one network, with the decoder of the first, on validation images."""
    tiles = list(prepared_tiles(plain, samples, _N_TIMED))
    # One after the other: the threads of a session wait for more work, awake, and would slow the other.
    seconds = np.array([[_seconds(bundle, tile) for tile in tiles * 2] for bundle in (plain, integers)])
    rows: dict[str, list[tuple[float, float]]] = {}
    for sample in samples:
        truth = sample.read_labels()
        with sample.open() as image:
            found = [
                decode_cells(predict_maps(image, b), plain.manifest.segmentation.decoder) for b in (plain, integers)
            ]
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
    side = min(padded_length(length_px, stride_px), padded_length(_TILE_PX, stride_px))
    start = max(0, (length_px - side) // 2)
    return Span(start, start + side, start, min(start + side, length_px))


def _seconds(bundle: Bundle, tile: _Tile) -> float:
    started = time.perf_counter()
    bundle.run(tile)
    return time.perf_counter() - started
