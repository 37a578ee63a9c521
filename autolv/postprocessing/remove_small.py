"""Remove components of a structure that are too small to be part of a heart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Spacing
from autolv.postprocessing import POSTPROCESSING
from autolv.postprocessing._components import channels_of, components


@POSTPROCESSING.register("remove_small")
def remove_small(
    labels: NDArray[np.uint8],
    channel: int | None,
    structures: Sequence[str],
    spacing_mm: Spacing,
    *,
    minimum_ml: float = 0.5,
) -> NDArray[np.uint8]:
    """Return ``labels`` (z, y, x) with the structure's 3D components below ``minimum_ml`` made background.

    ``channel`` ``None`` does so for each structure by itself. The voxel's volume comes from ``spacing_mm`` (z, y, x).
    """
    if not minimum_ml >= 0:
        raise ValueError(f"minimum_ml must not be negative, got {minimum_ml}")
    voxel_ml = math.prod(spacing_mm) / 1000.0  # 1 ml = 1000 mm³
    result = labels.copy()
    for number in channels_of(channel, structures):
        mask = labels == number
        numbered, voxels = components(mask)
        result[mask & (voxels * voxel_ml < minimum_ml)[numbered]] = 0
    return result
