"""From a network's output on the preprocessed grid back to the case's own grid: the inverse of ``forward``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from autolv.ops.crop import box_shape, box_slices, paste
from autolv.ops.resample import resample, resample_labels, spline_matrix
from autolv.schema.preprocessed import Grid


def restore_logits(logits: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    """Return class probabilities on the original grid, float32 (c, Z, Y, X), from logits (c, z, y, x) of ``grid.shape``.

    Logits are interpolated linearly, then softmax is taken (the order of Isensee 2021). Outside the crop the background
    (class 0) is certain. Work goes slice by slice: beside input and output only one slice is held.
    """
    classes = _check(logits, grid)
    result = np.zeros((classes, *grid.original_shape), dtype=np.float32)
    result[0] = 1.0
    _, rows, columns = box_slices(grid.box)
    for z, plane in _planes(logits, grid):
        plane -= plane.max(axis=0)
        np.exp(plane, out=plane)
        plane /= plane.sum(axis=0)
        result[:, z, rows, columns] = plane
    return result


def restore_labels_from_logits(logits: NDArray[np.float32], grid: Grid) -> NDArray[np.uint8]:
    """Return the most probable class of each voxel on the original grid, uint8 (Z, Y, X).

    The same as the argmax of ``restore_logits`` (but for ties made by the rounding of its exponentials), without a
    probability volume; ties go to the lower class.
    """
    classes = _check(logits, grid)
    result = np.zeros(grid.original_shape, dtype=np.uint8)
    _, rows, columns = box_slices(grid.box)
    for z, plane in _planes(logits, grid):
        # a running maximum is several times faster than argmax over a few strided classes
        best, winner = plane[0], result[z, rows, columns]
        for label in range(1, classes):
            better = plane[label] > best
            winner[better] = label
            np.maximum(best, plane[label], out=best)
    return result


def restore_labels(labels: NDArray[np.uint8], grid: Grid, order: int = 1) -> NDArray[np.uint8]:
    """Return labels (z, y, x) of ``grid.shape`` on the original grid, 0 outside the crop.

    ``order`` 1 interpolates each class linearly and takes the largest, 0 takes the nearest label.
    """
    if labels.shape != grid.shape:
        raise ValueError(f"labels must have shape {grid.shape}, got {labels.shape}")
    inside = resample_labels(labels, box_shape(grid.box), int(labels.max()) + 1, order)
    return paste(inside, grid.box, grid.original_shape)


def _check(logits: NDArray[np.float32], grid: Grid) -> int:
    if logits.ndim != 4 or logits.shape[1:] != grid.shape:
        raise ValueError(f"logits must be (classes, {', '.join(map(str, grid.shape))}), got {logits.shape}")
    return int(logits.shape[0])


def _planes(logits: NDArray[np.float32], grid: Grid) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield, for each slice of the box, its index on the original grid and its logits (c, y, x), free to change."""
    depth, height, width = box_shape(grid.box)
    weights = spline_matrix(grid.shape[0], depth, 1)
    for z in range(depth):
        # first along z, where at most two slices have a weight, then in-plane: both are linear, the order is free
        plane = np.zeros((logits.shape[0], *grid.shape[1:]), dtype=np.float32)
        for source in np.flatnonzero(weights[z]):
            plane += weights[z, source] * logits[:, source]
        yield grid.box[0][0] + z, resample(plane, (height, width), 1)
