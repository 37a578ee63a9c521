"""From a network's output on the preprocessed grid back to the case's own grid: the inverse of ``forward``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from autolv.ops.crop import box_shape, nonzero_box, paste, whole_box
from autolv.ops.resample import along_axes, linear_window, resample_labels
from autolv.schema.preprocessed import Box, Grid


def restore_logits(logits: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    """Return class probabilities on the original grid, float32 (c, Z, Y, X), from logits (c, z, y, x).

    Logits are interpolated linearly, then softmax is taken (the order of Isensee 2021). Outside the crop the background
    (class 0) is certain. Work goes slice by slice: beside input and output only one slice is held.
    """
    classes = _check(logits, grid)
    result = np.zeros((classes, *grid.original_shape), dtype=np.float32)
    result[0] = 1.0
    for z, rows, columns, plane in _planes(logits, grid, whole_box(grid.shape)):
        np.exp(plane - plane.max(axis=0), out=plane)
        np.divide(plane, plane.sum(axis=0), out=plane)
        result[:, z, rows, columns] = plane
    return result


def restore_labels_from_logits(logits: NDArray[np.float32], grid: Grid) -> NDArray[np.uint8]:
    """Return the most probable class of each voxel on the original grid, uint8 (Z, Y, X).

    The same as the argmax of ``restore_logits`` (but for ties made by the rounding of its exponentials), without a
    probability volume; ties go to the lower class.
    """
    classes = _check(logits, grid)
    result = np.zeros(grid.original_shape, dtype=np.uint8)
    foreground: NDArray[np.bool_] = np.any(logits[1:] > logits[:1], axis=0)
    if not foreground.any():
        return result
    # where the background leads at all neighbours on the network's grid it leads between them: interpolation is linear
    for z, rows, columns, plane in _planes(logits, grid, nonzero_box(foreground)):
        # a running maximum is several times faster than argmax over a few strided classes
        best, winner = plane[0], result[z, rows, columns]
        for label in range(1, classes):
            np.copyto(winner, label, where=plane[label] > best, casting="unsafe")
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


def _planes(
    logits: NDArray[np.float32], grid: Grid, box: Box
) -> Iterator[tuple[int, slice, slice, NDArray[np.float32]]]:
    """Yield, slice by slice, what the voxels in ``box`` of the network's grid have a share in on the original grid.

    Each item is the slice's index, its rows and columns, and its logits (c, y, x), free to change.
    """
    sizes = zip(grid.shape, box_shape(grid.box), box, strict=True)
    windows = [linear_window(n_in, n_out, start, stop) for n_in, n_out, (start, stop) in sizes]
    deep, high, wide = windows
    if deep is None or high is None or wide is None:
        return
    (z_start, _), (y_start, _), (x_start, _) = grid.box
    rows = slice(y_start + high.target.start, y_start + high.target.stop)
    columns = slice(x_start + wide.target.start, x_start + wide.target.stop)
    part = logits[:, deep.source, high.source, wide.source]
    for offset, weights in enumerate(deep.matrix):
        # first along z, where at most two slices have a weight, then in-plane: both are linear, the order is free
        plane = np.zeros((part.shape[0], *part.shape[2:]), dtype=np.float32)
        for source in np.flatnonzero(weights):
            plane += weights[source] * part[:, source]
        yield z_start + deep.target.start + offset, rows, columns, along_axes(plane, (high.matrix, wide.matrix))
