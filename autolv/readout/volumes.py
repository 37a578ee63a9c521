"""Volumes and global function of the ventricles from label arrays and volume curves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autolv.core.geometry import Spacing

MYOCARDIAL_DENSITY_G_PER_ML = 1.05  # the density in use for cardiac MR: Schulz-Menger 2020, JCMR 22:19


def volume_ml(mask: NDArray[np.bool_], spacing_mm: Spacing) -> float:
    """Return the volume of ``mask``, shape (z, y, x), in millilitres; an empty mask has 0.

    ``spacing_mm`` is (z, y, x), its first entry the distance between the centres of slices (thickness + gap), so this
    is the summation of slices after Simpson's method.
    """
    if mask.ndim != 3:
        raise ValueError(f"mask must be (z, y, x), got shape {mask.shape}")
    return int(np.count_nonzero(mask)) * _voxel_ml(spacing_mm)


def structure_volumes_ml(
    labels: NDArray[np.integer], structures: Sequence[str], spacing_mm: Spacing
) -> dict[str, float]:
    """Return the volume of each structure in millilitres; a structure without voxels has 0.

    ``labels``, shape (z, y, x), holds 0 for background and 1 + the position in ``structures``. Raises ``ValueError``
    for a label outside of these.
    """
    if labels.ndim != 3:
        raise ValueError(f"labels must be (z, y, x), got shape {labels.shape}")
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) <= len(structures):
        raise ValueError(f"labels must lie between 0 and {len(structures)}, got {labels.min()} to {labels.max()}")
    counts = np.bincount(labels.ravel(), minlength=len(structures) + 1)
    voxel_ml = _voxel_ml(spacing_mm)
    return {name: int(counts[channel]) * voxel_ml for channel, name in enumerate(structures, start=1)}


def ejection_fraction_percent(edv_ml: float, esv_ml: float) -> float:
    """Return 100 (EDV - ESV) / EDV; NaN where a volume is NaN or the end-diastolic one is not positive."""
    if math.isnan(edv_ml) or math.isnan(esv_ml) or edv_ml <= 0:
        return math.nan
    return 100.0 * (edv_ml - esv_ml) / edv_ml


def myocardial_mass_g(volume_ml: float, density_g_per_ml: float = MYOCARDIAL_DENSITY_G_PER_ML) -> float:
    """Return the mass in grams of a myocardium of ``volume_ml`` millilitres, taken at end-diastole by convention."""
    return density_g_per_ml * volume_ml


def end_diastole_and_systole(curve_ml: ArrayLike) -> tuple[int, int]:
    """Return the 0-based frames of the largest and smallest volume of ``curve_ml``, shape (t,); the first among equals.

    NaNs are passed over. Raises ``ValueError`` for a curve without any finite volume.
    """
    curve = np.asarray(curve_ml, dtype=np.float64)
    if curve.ndim != 1 or not np.isfinite(curve).any():
        raise ValueError(f"a curve of shape (t,) with finite volumes is needed, got shape {curve.shape}")
    return int(np.nanargmax(curve)), int(np.nanargmin(curve))


def _voxel_ml(spacing_mm: Spacing) -> float:
    if len(spacing_mm) != 3 or not all(s > 0 for s in spacing_mm):
        raise ValueError(f"spacing_mm must be three positive numbers (z, y, x), got {spacing_mm}")
    return math.prod(spacing_mm) / 1000.0  # 1 ml = 1000 mm³
