"""From a case on its own grid to what a network of nnU-Net's sees, and back, by nnU-Net's conventions.

They are those of nnU-Net 2.8.1 (its ``DefaultPreprocessor`` and ``resample_data_or_seg_to_shape``; Isensee 2021); where they
differ from ``forward`` and ``inverse`` is said in ``schema.plan.NnunetConventions``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from autolv.core.geometry import Geometry, Spacing, Triple, Volume
from autolv.ops.crop import crop, nonzero_box, whole_box
from autolv.ops.normalise import standardise
from autolv.ops.resample import nearest_index, resample
from autolv.preprocessing.forward import check_image
from autolv.preprocessing.inverse import restore_part
from autolv.schema.plan import NnunetConventions, Preprocessing
from autolv.schema.preprocessed import Box, Grid

F = TypeVar("F", int, float)
_THICK = 3.0  # times the finest spacing: nnU-Net's ANISO_THRESHOLD
_NOISE = 1e-14  # of a length: a few roundings of double precision
_LEAST_SD = 1e-8  # by which nnU-Net divides a constant image


def preprocess_for_nnunet(
    volume: Volume, block: Preprocessing, conventions: NnunetConventions
) -> tuple[NDArray[np.float32], Grid]:
    """Return one frame as stored, cropped, normalised and resampled, float32, and the grid that undoes it.

    The grid's axes are those of the array: the stored ones in the order of ``conventions.transpose``. Its ``spacing_mm`` is
    the plan's, from which the shape was rounded. Raises ``DataError`` for a constant image and for one with NaN or
    infinite voxels.
    """
    if volume.is_cine:
        raise ValueError("expected one frame (z, y, x), got a cine; take volume.frame(i)")
    order, flipped = _stored(volume.geometry, conventions.transpose)
    array = np.ascontiguousarray(np.flip(np.asarray(volume.array, dtype=np.float32).transpose(order), flipped))
    check_image(array)
    spacing = _triple([_stated(volume.spacing_mm[axis]) for axis in order])
    box = nonzero_box(array) if block.crop_to_nonzero else whole_box(array.shape)
    part = crop(array, box)
    where = ndimage.binary_fill_holes(part != 0) if conventions.nonzero_only else np.ones_like(part, dtype=np.bool_)
    known = part[where]
    mean, sd = float(known.mean(dtype=np.float64)), max(float(known.std(dtype=np.float64)), _LEAST_SD)
    normalised = np.where(where, standardise(part, mean, sd), part)
    target = (spacing[0] if block.slice_spacing_mm is None else block.slice_spacing_mm, *block.in_plane_spacing_mm)
    z, y, x = (round(old / new * n) for n, old, new in zip(part.shape, spacing, target, strict=True))
    grid = Grid(
        original_shape=_triple(array.shape), original_spacing_mm=spacing, box=box, shape=(z, y, x), spacing_mm=target,
        clip=None, mean=mean, sd=sd,
    )  # fmt: skip
    return _resampled(normalised, grid.shape, _thick_axis(spacing, target), block.image_order), grid


def restore_from_nnunet(
    logits: NDArray[np.float32], box: Box, grid: Grid, geometry: Geometry, conventions: NnunetConventions
) -> tuple[NDArray[np.float32], Box]:
    """Return class probabilities on a part of the canonical grid of ``geometry``, and where that part lies in it.

    ``logits`` (c, *box) are known in a ``box`` of the network's ``grid``; outside it the background is certain. Resampled ones
    are rounded to half precision, in which nnU-Net keeps them: equal ones are a tie.
    """
    thick = _thick_axis(grid.spacing_mm, grid.original_spacing_mm)
    inside, where = restore_part(logits, box, grid, nearest_along=thick, in_half=True)
    order, flipped = _stored(geometry, conventions.transpose)
    back = tuple(int(axis) for axis in np.argsort(order))
    turned = [
        (size - stop, size - start) if axis in flipped else (start, stop)
        for axis, (size, (start, stop)) in enumerate(zip(grid.original_shape, where, strict=True))
    ]
    upright = np.flip(inside, tuple(1 + axis for axis in flipped)).transpose(0, *(1 + axis for axis in back))
    return np.ascontiguousarray(upright), (turned[back[0]], turned[back[1]], turned[back[2]])


def _stated(spacing_mm: float) -> float:
    """Return the spacing that a header states, from which the length of an oblique axis differs in the last digits.

    NIfTI states single precision, other files decimals. 9 slices of 7.5 mm are 13.5 of 5 mm: those digits would decide.
    """
    single = float(np.float32(spacing_mm))
    return single if abs(single - spacing_mm) <= _NOISE * spacing_mm else float(f"{spacing_mm:.15g}")


def _stored(geometry: Geometry, transpose: Triple) -> tuple[Triple, tuple[int, ...]]:
    """Return how a canonical array becomes the stored one: its axes in the new order, and those then flipped.

    A file's array is (i, j, k), i the fastest; nnU-Net reads it as (k, j, i) and orders that by ``transpose``.
    """
    order = _triple([geometry.axes.index(2 - axis) for axis in transpose])
    return order, tuple(new for new, axis in enumerate(order) if geometry.flips[axis])


def _thick_axis(here: Spacing, there: Spacing) -> int | None:
    """Return the axis that is resampled apart from the others, by the nearest neighbour, if there is one.

    It is the coarsest one of the spacing ``here``, or else of that ``there``, if thick and coarser than both others.
    """
    for spacing in (here, there):
        if max(spacing) / min(spacing) > _THICK:
            coarsest = [axis for axis in range(3) if spacing[axis] == max(spacing)]
            return coarsest[0] if len(coarsest) == 1 else None
    return None


def _resampled(array: NDArray[np.float32], shape: Triple, thick: int | None, order: int) -> NDArray[np.float32]:
    """Return ``array`` on a grid of ``shape``; no value lies beyond those of its slice (of all, if none is ``thick``)."""
    if array.shape == shape:
        return np.ascontiguousarray(array)
    if thick is None:
        return np.clip(resample(array, shape, order), array.min(), array.max())
    slices = np.moveaxis(array, thick, 0)
    in_plane = resample(slices, [n for axis, n in enumerate(shape) if axis != thick], order)
    low, high = (bound(axis=(1, 2), keepdims=True) for bound in (slices.min, slices.max))
    nearest = np.clip(in_plane, low, high)[nearest_index(len(slices), shape[thick])]
    return np.ascontiguousarray(np.moveaxis(nearest, 0, thick))


def _triple(values: Sequence[F]) -> tuple[F, F, F]:
    return values[0], values[1], values[2]
