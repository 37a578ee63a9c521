"""What the criteria measure in one slice: enclosed pixels, pieces, borders, dents and roundness of masks (y, x)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, label
from scipy.spatial import ConvexHull, QhullError

from autolv.readout.masks import Mask

_SQUARE = np.ones((3, 3), dtype=np.bool_)
PixelMm = tuple[float, float]


def enclosed(mask: Mask) -> Mask:
    """Return the pixels outside of ``mask`` from which no way over shared edges leads to the border of the array.

    The first and last row and column of ``mask`` must be empty.
    """
    outside, count = label(~mask)
    return np.asarray(outside > 1) if count > 1 else np.zeros_like(mask)  # number 1 is that of the corner


def regions(mask: Mask) -> list[Mask]:
    """Return the regions of ``mask`` whose pixels share an edge."""
    numbered, count = label(mask)
    return [np.asarray(numbered == number) for number in range(1, count + 1)]


def beside(region: Mask, other: Mask) -> bool:
    """Return whether a pixel of ``region`` shares an edge with one of ``other``."""
    return bool((binary_dilation(region) & other).any())


def pixels_apart(mask: Mask) -> int:
    """Return how many pixels of ``mask`` do not hang together with its largest piece by an edge or a corner."""
    numbered, count = label(mask, _SQUARE)
    if count < 2:
        return 0
    sizes = np.bincount(numbered.ravel())[1:]
    return int(sizes.sum() - sizes.max())


def around(mask: Mask) -> Mask:
    """Return ``mask`` and the pixels that share an edge or a corner with it."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    wide = grown.copy()
    wide[:, 1:] |= grown[:, :-1]
    wide[:, :-1] |= grown[:, 1:]
    return wide


def border_mm(mask: Mask, other: Mask, pixel_mm: PixelMm) -> float:
    """Return the length in mm of the pixel edges between two masks that have no pixel in common."""
    below = np.count_nonzero(mask[1:] & other[:-1]) + np.count_nonzero(mask[:-1] & other[1:])
    aside = np.count_nonzero(mask[:, 1:] & other[:, :-1]) + np.count_nonzero(mask[:, :-1] & other[:, 1:])
    return float(below * pixel_mm[1] + aside * pixel_mm[0])


def dent_mm(mask: Mask, pixel_mm: PixelMm) -> float:
    """Return how deep ``mask`` falls short of its convex hull, in mm; 0 for less than three pixels across a dent.

    The depth is the largest distance to the hull's border of a pixel that lies, with its eight neighbours, in the hull
    and not in ``mask`` (Painchaud 2020). The hull is that of the pixels' centres.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size < 3:
        return 0.0
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    corners = np.concatenate([np.stack([rows, first], axis=1), np.stack([rows, last], axis=1)]) * np.array(pixel_mm)
    try:
        facets = sorted({tuple(facet) for facet in ConvexHull(corners).equations.tolist()})
    except QhullError:  # all on one line
        return 0.0
    rim = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(first.min()), int(last.max()) + 1)
    far = np.argwhere(~around(mask)[rim])  # with none of the mask among them and their neighbours
    if not far.size:
        return 0.0
    planes = np.array(facets)  # (facets, 3): unit normal and offset
    normals, places = planes[:, :2], (far + np.array([rim[0].start, rim[1].start])) * np.array(pixel_mm)
    beyond = normals @ places.T + planes[:, 2:]  # (facets, pixels) in mm, negative within the hull
    neighbours = np.abs(normals) @ np.array(pixel_mm)  # how much further out the outermost neighbour lies
    within = (beyond + neighbours[:, None] <= 0).all(axis=0)
    return float((-beyond.max(axis=0)[within]).max()) if within.any() else 0.0


def perimeter_mm(mask: Mask, pixel_mm: PixelMm) -> float:
    """Return the length in mm of the contour halfway between the pixels of ``mask`` and the others, with cut corners."""
    dy, dx = pixel_mm
    a, b, c, d = mask[:-1, :-1], mask[:-1, 1:], mask[1:, :-1], mask[1:, 1:]
    codes = np.bincount((a + np.uint8(2) * b + np.uint8(4) * c + np.uint8(8) * d).ravel(), minlength=16)
    slant = math.hypot(dy, dx) / 2
    one_or_three = int(codes[[1, 2, 4, 8, 7, 11, 13, 14]].sum())
    return float(
        slant * (one_or_three + 2 * codes[[6, 9]].sum()) + dx * codes[[3, 12]].sum() + dy * codes[[5, 10]].sum()
    )


def circularity(mask: Mask, pixel_mm: PixelMm) -> float:
    """Return 4 pi area / perimeter²: 1 for a circle, less for other shapes, NaN for an empty mask.

    Of a few pixels it may exceed 1, since the contour cuts their corners. The first and last row and column must be empty.
    """
    if not mask.any():
        return math.nan
    area = np.count_nonzero(mask) * pixel_mm[0] * pixel_mm[1]
    return float(4 * math.pi * area / perimeter_mm(mask, pixel_mm) ** 2)


def distance_mm(mask: Mask, other: Mask, pixel_mm: PixelMm) -> float:
    """Return the distance in mm between the nearest pixel centres of two masks that are not empty."""
    mine, theirs = (np.argwhere(m & ~_inner(m)) * np.array(pixel_mm) for m in (mask, other))
    apart: NDArray[np.float64] = np.linalg.norm(mine[:, None, :] - theirs[None, :, :], axis=2)
    return float(apart.min())


def _inner(mask: Mask) -> Mask:
    inner = mask.copy()
    inner[1:-1, 1:-1] &= mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    return inner
