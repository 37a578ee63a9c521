"""From a network's output on the preprocessed grid back to the case's own grid: the inverse of ``forward``."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Triple
from autolv.ops.crop import box_shape, crop, nonzero_box, paste, whole_box
from autolv.ops.resample import along_axes, linear_window, nearest_window, resample_labels
from autolv.schema.preprocessed import Box, Grid

F = TypeVar("F", bound=np.floating)
CERTAIN = 20.0  # the logit of a background beside which the others, of logit 0, are less probable than 1e-8


def restore_logits(logits: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    """Return class probabilities on the original grid, float32 (c, Z, Y, X), from logits (c, z, y, x).

    Logits are interpolated linearly, then softmax is taken (the order of Isensee 2021). Outside the crop the background
    (class 0) is certain. Work goes slice by slice: beside input and output only one slice is held.
    """
    inside, box = restore_part(logits, whole_box(grid.shape), grid)
    return inside if box == whole_box(grid.original_shape) else on_whole_grid(inside, box, grid.original_shape)


def restore_part(
    logits: NDArray[np.float32], box: Box, grid: Grid, *, nearest_along: int | None = None, in_half: bool = False
) -> tuple[NDArray[np.float32], Box]:
    """Return what ``restore_logits`` gives from logits (c, z, y, x) that are known in a ``box`` of the network's grid.

    Outside the box the background is certain; the probabilities, (c, Z, Y, X), are those of the part of the original
    grid in which the box has a share, and come with the place of that part. Where it has a share in no voxel, which
    happens when an axis shrinks to less than half, that is the crop's first voxel, of background. ``nearest_along`` names the
    axis, if any, along which the nearest logits are taken, not interpolated ones. ``in_half`` rounds the resampled logits to
    half precision.
    """
    if logits.ndim != 4 or logits.shape[1:] != box_shape(box):
        raise ValueError(f"logits must be (classes, {', '.join(map(str, box_shape(box)))}), got {logits.shape}")
    sizes = zip(grid.shape, box_shape(grid.box), box, strict=True)
    deep, high, wide = (
        (nearest_window if axis == nearest_along else linear_window)(n_in, n_out, start, stop)
        for axis, (n_in, n_out, (start, stop)) in enumerate(sizes)
    )
    if deep is None or high is None or wide is None:
        (z, _), (y, _), (x, _) = grid.box
        return np.eye(len(logits), 1, dtype=np.float32)[..., None, None], ((z, z + 1), (y, y + 1), (x, x + 1))
    (z0, z1), (y0, y1), (x0, x1) = (
        (start + window.target.start, start + window.target.stop)
        for (start, _), window in zip(grid.box, (deep, high, wide), strict=True)
    )
    known = _with_surroundings(logits, box, (deep.source, high.source, wide.source))
    result = np.empty((len(logits), z1 - z0, y1 - y0, x1 - x0), dtype=np.float32)
    for z, weights in enumerate(deep.matrix):
        # first along z, where at most two slices have a weight, then in-plane: both are linear, the order is free
        blend = np.zeros((len(logits), *known.shape[2:]), dtype=np.float32)
        for source in np.flatnonzero(weights):
            blend += weights[source] * known[:, source]
        plane = along_axes(blend, (high.matrix, wide.matrix))
        if in_half:
            plane = plane.astype(np.float16).astype(np.float32)
        np.exp(plane - plane.max(axis=0), out=plane)
        np.divide(plane, plane.sum(axis=0), out=result[:, z])
    return result, ((z0, z1), (y0, y1), (x0, x1))


def on_whole_grid(probabilities: NDArray[F], box: Box, shape: Triple, background: float = 1.0) -> NDArray[F]:
    """Return probabilities (c, z, y, x) of a ``box`` as (c, *shape): outside, that of the background is ``background``."""
    result = np.zeros((len(probabilities), *shape), dtype=probabilities.dtype)
    result[0] = background
    crop(result, box)[...] = probabilities
    return result


def foreground_box(logits: NDArray[np.float32]) -> Box:
    """Return the box of logits (c, z, y, x) from which alone every voxel's most probable class can be told.

    Outside it the background leads: where it leads at all neighbours on the network's grid it leads between them, as
    interpolation is linear. It is one voxel where no other class leads anywhere.
    """
    leading = np.any(logits[1:] > logits[:1], axis=0)
    if not leading.any():
        return (0, 1), (0, 1), (0, 1)
    z, y, x = (  # with the neighbours that a voxel of the original grid may have a share of
        (max(0, start - 1), min(size, stop + 1))
        for (start, stop), size in zip(nonzero_box(leading), leading.shape, strict=True)
    )
    return z, y, x


def restore_labels(labels: NDArray[np.uint8], grid: Grid, order: int = 1) -> NDArray[np.uint8]:
    """Return labels (z, y, x) of ``grid.shape`` on the original grid, 0 outside the crop.

    ``order`` 1 interpolates each class linearly and takes the largest, 0 takes the nearest label.
    """
    if labels.shape != grid.shape:
        raise ValueError(f"labels must have shape {grid.shape}, got {labels.shape}")
    inside = resample_labels(labels, box_shape(grid.box), int(labels.max()) + 1, order)
    return paste(inside, grid.box, grid.original_shape)


def _with_surroundings(
    logits: NDArray[np.float32], box: Box, wanted: tuple[slice, slice, slice]
) -> NDArray[np.float32]:
    """Return the ``wanted`` part of the network's grid: logits inside ``box``, a certain background outside."""
    if all((side.start, side.stop) == have for side, have in zip(wanted, box, strict=True)):
        return logits
    result = np.zeros((len(logits), *(side.stop - side.start for side in wanted)), dtype=np.float32)
    result[0] = CERTAIN
    shared = [(max(side.start, start), min(side.stop, stop)) for side, (start, stop) in zip(wanted, box, strict=True)]
    to = tuple(slice(low - side.start, high - side.start) for (low, high), side in zip(shared, wanted, strict=True))
    of = tuple(slice(low - start, high - start) for (low, high), (start, _) in zip(shared, box, strict=True))
    result[(slice(None), *to)] = logits[(slice(None), *of)]
    return result
