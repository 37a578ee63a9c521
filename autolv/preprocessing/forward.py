"""From a case on its own grid to what a network sees: crop, resample, normalise. ``inverse`` is the way back."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autolv.core.errors import DataError
from autolv.core.geometry import Spacing, Triple, Volume
from autolv.ops.crop import box_shape, crop, nonzero_box, whole_box
from autolv.ops.normalise import Normalised, central_zscore, percentile_zscore, zscore
from autolv.ops.resample import nearest_index, resample, resample_labels
from autolv.schema.plan import Preprocessing
from autolv.schema.preprocessed import Grid

_THICK = 3.0  # times the finer in-plane spacing: slices further apart are not blended (Isensee 2021)


def preprocess_image(volume: Volume, block: Preprocessing) -> tuple[NDArray[np.float32], Grid]:
    """Return one frame cropped, resampled and normalised, float32 (z, y, x), and the grid that undoes it.

    In-plane a spline of ``block.image_order`` is used. Along z, which is resampled only where ``block.slice_spacing_mm``
    is given, thick slices are repeated, not blended with their neighbours; thin ones are interpolated linearly.
    Intensities are normalised over the voxels of the resampled crop that ``block.normalisation`` names. Raises
    ``DataError`` for a constant image and for one with NaN or infinite voxels.
    """
    if volume.is_cine:
        raise ValueError("expected one frame (z, y, x), got a cine; take volume.frame(i)")
    array = np.asarray(volume.array, dtype=np.float32)
    check_image(array)
    box = nonzero_box(array) if block.crop_to_nonzero else whole_box(array.shape)
    old = box_shape(box)
    new = _new_shape(old, volume.spacing_mm, block)
    orders = (_slice_order(volume.spacing_mm), block.image_order, block.image_order)
    resampled = resample(crop(array, box), new, orders)
    z, y, x = (mm * n / m for mm, n, m in zip(volume.spacing_mm, old, new, strict=True))
    normalised = _normalised(resampled, block, (y, x))
    grid = Grid(
        original_shape=volume.geometry.shape,
        original_spacing_mm=volume.spacing_mm,
        box=box,
        shape=new,
        spacing_mm=(z, y, x),
        clip=normalised.clip,
        mean=normalised.mean,
        sd=normalised.sd,
    )
    return normalised.array, grid


def _normalised(array: NDArray[np.float32], block: Preprocessing, pixel_mm: tuple[float, float]) -> Normalised:
    if block.normalisation == "central_zscore":
        return central_zscore(array, pixel_mm)
    return (zscore if block.normalisation == "zscore" else percentile_zscore)(array)


def preprocess_labels(labels: NDArray[np.uint8], grid: Grid, classes: int, order: int = 1) -> NDArray[np.uint8]:
    """Return labels (z, y, x) of the original grid on the grid of the preprocessed image.

    ``order`` 1 interpolates each of the ``classes`` linearly and takes the largest (ties: the lower class); 0 takes the
    nearest label. Thick slices are repeated, as the image's are. Raises ``DataError`` if the labels have another shape
    than the image.
    """
    if labels.shape != grid.original_shape:
        raise DataError(
            f"the labels have shape {labels.shape} (z, y, x), the image {grid.original_shape}.",
            remedy="Replace the label map by one on the image's grid.",
        )
    inside = crop(labels, grid.box)
    if _slice_order(grid.original_spacing_mm) == 1:
        return resample_labels(inside, grid.shape, classes, order)
    in_plane = resample_labels(inside, grid.shape[1:], classes, order)  # each slice by itself
    return in_plane[nearest_index(len(in_plane), grid.shape[0])]


def _slice_order(spacing_mm: Spacing) -> Literal[0, 1]:
    """Return the spline order along z: nearest for thick slices, else linear, as a cubic one overshoots at borders.

    Between thick slices contours jump: a blend of two shows both, under the labels of one.
    """
    return 0 if spacing_mm[0] > _THICK * min(spacing_mm[1:]) else 1


def check_image(array: NDArray[np.float32]) -> None:
    """Raise ``DataError`` for an image that is constant, or has voxels that are NaN or infinite."""
    bad = int(array.size - np.isfinite(array).sum())
    if bad:
        raise DataError(f"{bad} voxels of the image are NaN or infinite.", remedy="Replace the image.")
    if array.min() == array.max():
        raise DataError(f"the image is constant ({float(array.flat[0]):g} everywhere).", remedy="Replace the image.")


def _new_shape(shape: Triple, spacing_mm: Spacing, block: Preprocessing) -> Triple:
    """Return the number of voxels whose spacing comes closest to the block's while covering the same extent."""
    y_mm, x_mm = block.in_plane_spacing_mm
    z_mm = spacing_mm[0] if block.slice_spacing_mm is None else block.slice_spacing_mm
    z, y, x = (max(1, round(n * old / new)) for n, old, new in zip(shape, spacing_mm, (z_mm, y_mm, x_mm), strict=True))
    return z, y, x
