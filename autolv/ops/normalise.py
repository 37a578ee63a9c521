"""Intensities to a mean of 0 and a standard deviation of 1, with the numbers that undo it."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

CENTRAL_MM = 160.0  # of 120 to 200 mm about ACDC's hearts and field centres: docs/decisions/0021
_PERCENTILES = (0.5, 99.5)  # Isensee 2021, supplement: the clipping range of intensity-quantitative images

Real = TypeVar("Real", bound=np.floating)


class Normalised(NamedTuple):
    """A normalised array, and what was done: clipped to ``clip`` (or not), then (value - mean) / sd."""

    array: NDArray[np.float32]
    clip: tuple[float, float] | None
    mean: float
    sd: float


def zscore(array: NDArray[np.floating]) -> Normalised:
    """Return ``array`` less its mean, over its standard deviation; a constant array becomes zeros, with sd 1."""
    return _standardise(array, None)


def central_zscore(
    array: NDArray[np.floating], pixel_mm: tuple[float, float], side_mm: float = CENTRAL_MM
) -> Normalised:
    """Return ``array`` (z, y, x) less the mean, over the standard deviation, of the square of ``side_mm`` about its centre.

    What lies further out (air, arms, a wider field) changes nothing.
    """
    return _standardise(array, None, central(array, pixel_mm, side_mm))


def central(array: NDArray[Real], pixel_mm: tuple[float, float], side_mm: float = CENTRAL_MM) -> NDArray[Real]:
    """Return of ``array`` (z, y, x) the square of ``side_mm`` about its centre, as far as the field reaches."""
    middle = array
    for axis, mm in zip((1, 2), pixel_mm, strict=True):
        size = array.shape[axis]
        width = min(size, max(1, round(side_mm / mm)))
        middle = np.take(middle, np.arange(width) + (size - width) // 2, axis=axis)
    return middle


def percentile_zscore(array: NDArray[np.floating]) -> Normalised:
    """Return ``zscore`` of ``array`` clipped to its own 0.5th and 99.5th percentiles."""
    low, high = (float(v) for v in np.percentile(array, _PERCENTILES))
    return _standardise(np.clip(array, low, high), (low, high))


def _standardise(
    array: NDArray[np.floating], clip: tuple[float, float] | None, measured: NDArray[np.floating] | None = None
) -> Normalised:
    """Return ``array`` scaled by the mean and standard deviation of ``measured`` (``None``: its own)."""
    measured = array if measured is None else measured
    mean = float(measured.mean(dtype=np.float64))
    sd = float(measured.std(dtype=np.float64))
    # float32 rounding alone gives a constant of 1000 an sd of up to 1e-4; dividing by that would invent an image
    if not sd > 1e-6 * max(1.0, abs(mean)):
        sd = 1.0
    return Normalised(standardise(array, mean, sd), clip, mean, sd)


def standardise(array: NDArray[np.floating], mean: float, sd: float) -> NDArray[np.float32]:
    """Return (array - mean) / sd in float32."""
    scaled: NDArray[np.float32] = (array.astype(np.float32) - np.float32(mean)) * np.float32(1.0 / sd)
    return scaled
