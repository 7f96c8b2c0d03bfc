"""Turned, mirrored, scaled and bent squares cut out of a picture."""

import io

import numpy as np
from PIL import Image
from scipy import ndimage

Affine = tuple[float, ...]
Mesh = list[tuple[tuple[int, ...], tuple[float, ...]]]

_NODES, _BOXES = 4, 8
"""The displacement is drawn at 4 x 4 nodes and followed in 8 x 8 boxes, smoothly between."""

_FARTHEST = 2.5
"""Displacements are kept within so many standard deviations, so that the picture to cut from is bounded."""


def draw_square(random: np.random.Generator, zoom: float, rotate: bool) -> np.ndarray:
    """Draw the 2 x 2 matrix that leads from a crop's pixels (x, y) to the picture's, about the crop's centre."""
    scale = zoom ** random.uniform(-1, 1)
    angle = random.uniform(0, 2 * np.pi) if rotate else 0.0
    mirror = -1.0 if rotate and random.random() < 0.5 else 1.0
    cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
    return np.array([[cosine * mirror, -sine], [sine * mirror, cosine]])


def reach_px(side_px: int, matrix: np.ndarray, elastic_px: float) -> int:
    """How far from the centre of a square what it shows may lie in the picture, to either side."""
    return int(np.ceil(np.abs(matrix).sum(axis=1).max() * side_px / 2 + elastic_px * _FARTHEST)) + 1


def cut_square(
    image: np.ndarray,
    maps: np.ndarray,
    side_px: int,
    matrix: np.ndarray,
    random: np.random.Generator,
    *,
    elastic_px: float = 0.0,
    on_cell: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a square at a random place, interpolated bilinearly; beyond the picture follows its mirror image.

    Args:
        image: uint8 (y, x, 3).
        maps: uint8 (y, x, k), cut at the same place. Where k is 4 or more, the third and fourth are the y and x
            components of directions; they are mirrored with the picture beyond its edge, not turned with the square.
        side_px: Side of the result.
        matrix: From the result's pixels to the picture's, see `draw_square`.
        random: Draws the place, and the deformation.
        elastic_px: Standard deviation of the deformation, in pixels of the picture.
        on_cell: Lie about a cell drawn by its area, where there is one; `maps` then begin with the foreground.

    Returns:
        uint8 (side, side, 3) and (side, side, k).
    """
    reach = reach_px(side_px, matrix, elastic_px)
    image, maps = _grow(image, 2 * reach), _grow_maps(maps, 2 * reach)
    place = _place_on_cell if on_cell and maps[..., 0].any() else _place_anywhere
    y, x = place(maps, reach, random)
    window = slice(y, y + 2 * reach), slice(x, x + 2 * reach)
    centre = np.full(2, reach) - matrix @ np.full(2, side_px / 2)
    way: Affine | Mesh = (*matrix[0], centre[0], *matrix[1], centre[1])
    if elastic_px > 0:
        way = _bend(matrix, centre, side_px, elastic_px, random)
    channels = [maps[window][:, :, k] for k in range(maps.shape[2])]
    return _warp(image[window], side_px, way), np.stack([_warp(c, side_px, way) for c in channels], axis=2)


def compress(pixels: np.ndarray, quality: int) -> np.ndarray:
    """What JPEG compression of quality 1 to 95 leaves of a crop, uint8 (y, x, 3)."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=quality)
    return np.asarray(Image.open(content))


def _bend(matrix: np.ndarray, centre: np.ndarray, side_px: int, elastic_px: float, random: np.random.Generator) -> Mesh:
    """Boxes of the crop and the corners in the picture that each is cut from (Simard et al. 2003, on a coarse grid)."""
    drawn = np.clip(random.standard_normal((2, _NODES, _NODES)), -_FARTHEST, _FARTHEST)
    fine = [ndimage.zoom(axis, (_BOXES + 1) / _NODES, order=3, mode="nearest") for axis in drawn]
    moved = np.clip(fine, -_FARTHEST, _FARTHEST) * elastic_px
    edges = np.round(np.linspace(0, side_px, _BOXES + 1)).astype(int)
    grid = np.stack(np.meshgrid(edges, edges))
    source = np.tensordot(matrix, grid, axes=1) + centre[:, None, None] + moved
    mesh = []
    for i in range(_BOXES):
        for j in range(_BOXES):
            corners = ((i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1))
            box = (int(edges[j]), int(edges[i]), int(edges[j + 1]), int(edges[i + 1]))
            mesh.append((box, tuple(float(v) for row, column in corners for v in source[:, row, column])))
    return mesh


def _place_anywhere(maps: np.ndarray, reach: int, random: np.random.Generator) -> tuple[int, int]:
    return tuple(int(random.integers(0, length - 2 * reach + 1)) for length in maps.shape[:2])


def _place_on_cell(maps: np.ndarray, reach: int, random: np.random.Generator) -> tuple[int, int]:
    """The corner of a window whose middle half holds a pixel of a cell, as far as the picture allows."""
    inside = np.flatnonzero(maps[..., 0])
    pixel = divmod(int(inside[random.integers(len(inside))]), maps.shape[1])
    shift = random.integers(-reach // 2, reach // 2 + 1, 2)
    corner = np.array(pixel) - reach + shift
    return tuple(int(v) for v in np.clip(corner, 0, np.array(maps.shape[:2]) - 2 * reach))


def _missing(shape: tuple[int, ...], side_px: int) -> list[tuple[int, int]]:
    return [(side - side // 2, side // 2) for side in (max(0, side_px - n) for n in shape[:2])]


def _grow(pixels: np.ndarray, side_px: int) -> np.ndarray:
    missing = _missing(pixels.shape, side_px)
    return np.pad(pixels, [*missing, (0, 0)], mode="symmetric") if np.any(missing) else pixels


def _grow_maps(maps: np.ndarray, side_px: int) -> np.ndarray:
    grown = _grow(maps, side_px)
    if maps.shape[2] >= 4 and grown is not maps:
        for axis, (before, after) in enumerate(_missing(maps.shape, side_px)):
            length = maps.shape[axis]
            mirrored = np.arange(-before, length + after) // length % 2 == 1
            part = (mirrored, slice(None), 2) if axis == 0 else (slice(None), mirrored, 3)
            grown[part] = 255 - grown[part]
    return grown


def _warp(pixels: np.ndarray, side_px: int, way: Affine | Mesh) -> np.ndarray:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    kind = Image.Transform.MESH if isinstance(way, list) else Image.Transform.AFFINE
    return np.asarray(picture.transform((side_px, side_px), kind, way, Image.Resampling.BILINEAR))
