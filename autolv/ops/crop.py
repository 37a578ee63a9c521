"""Boxes in the last three axes of an array: find, cut out, paste back, pad."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from autolv.schema.preprocessed import Box

S = TypeVar("S", bound=np.generic)
Triple = tuple[int, int, int]


def nonzero_box(array: NDArray[np.generic]) -> Box:
    """Return the smallest box (start, stop per axis) around all non-zero voxels of a (z, y, x) array.

    NaN counts as non-zero. An array without any non-zero voxel gives the whole array.
    """
    if array.ndim != 3:
        raise ValueError(f"array must be (z, y, x), got shape {array.shape}")
    occupied = array != 0
    plane = np.logical_or.reduce(occupied, axis=0)  # (y, x); along the last axis it would take several times as long
    sides = []
    for along in (occupied.any(axis=(1, 2)), plane.any(axis=1), plane.any(axis=0)):
        present = np.flatnonzero(along)
        if present.size == 0:
            return whole_box(array.shape)
        sides.append((int(present[0]), int(present[-1]) + 1))
    return sides[0], sides[1], sides[2]


def with_margin(box: Box, shape: tuple[int, ...], margin: int = 1) -> Box:
    """Return ``box`` widened by ``margin`` voxels on all sides, as far as the last three axes of ``shape`` go."""
    z, y, x = (
        (max(0, start - margin), min(size, stop + margin)) for (start, stop), size in zip(box, shape[-3:], strict=True)
    )
    return z, y, x


def whole_box(shape: tuple[int, ...]) -> Box:
    """Return the box that covers the last three axes of ``shape``."""
    z, y, x = shape[-3:]
    return (0, z), (0, y), (0, x)


def box_shape(box: Box) -> Triple:
    """Return the shape (z, y, x) of a box."""
    (z0, z1), (y0, y1), (x0, x1) = box
    return z1 - z0, y1 - y0, x1 - x0


def box_slices(box: Box) -> tuple[slice, slice, slice]:
    """Return a box as an index of the last three axes: ``array[(..., *box_slices(box))]``."""
    (z0, z1), (y0, y1), (x0, x1) = box
    return slice(z0, z1), slice(y0, y1), slice(x0, x1)


def crop(array: NDArray[S], box: Box) -> NDArray[S]:
    """Return the part of (..., z, y, x) ``array`` inside ``box``, as a view. A box that leaves it is an error."""
    if any(not 0 <= start < stop <= size for (start, stop), size in zip(box, array.shape[-3:], strict=True)):
        raise ValueError(f"box {box} does not lie inside shape {array.shape[-3:]}")
    return array[(..., *box_slices(box))]


def paste(array: NDArray[S], box: Box, shape: Triple, fill: float = 0) -> NDArray[S]:
    """Return a (..., *shape) array that is ``fill`` but for ``array`` inside ``box``: the inverse of ``crop``."""
    if array.shape[-3:] != box_shape(box):
        raise ValueError(f"array must fit the box {box}, got shape {array.shape}")
    result = np.full((*array.shape[:-3], *shape), fill, dtype=array.dtype)
    crop(result, box)[...] = array
    return result


def pad_to(array: NDArray[S], shape: Triple, fill: float = 0) -> tuple[NDArray[S], Box]:
    """Return (..., z, y, x) ``array`` in the middle of one at least as large as ``shape``, and where it lies in it.

    Axes that are large enough stay as they are; an odd rest goes to the end. ``crop`` with the box undoes it.
    """
    old = array.shape[-3:]
    new = tuple(max(size, wanted) for size, wanted in zip(old, shape, strict=True))
    starts = [(wanted - size) // 2 for size, wanted in zip(old, new, strict=True)]
    z, y, x = ((start, start + size) for start, size in zip(starts, old, strict=True))
    return paste(array, (z, y, x), (new[0], new[1], new[2]), fill), (z, y, x)
