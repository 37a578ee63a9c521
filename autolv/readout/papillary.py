"""Papillary muscles: the dark voxels within the cavity, to be counted as muscle where that is the convention."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion

from autolv.readout.masks import Mask

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=np.bool_)
_FEWEST_WALL = 20  # voxels of muscle in a slice from which its signal is known
_CONTRAST = 1.2  # blood over muscle, below which they cannot be told apart


def papillary_mask(image: NDArray[np.floating], cavity: Mask, wall: Mask) -> Mask:
    """Return which voxels of ``cavity`` are as dark as muscle; all arrays are (z, y, x).

    A voxel is dark below the middle between the slice's blood (median of the brighter half of the cavity) and its muscle
    (median of the wall). At the cavity's rim, where voxels hold both by right, only those count that touch dark ones
    further inside. Slices without enough wall, or whose blood is not brighter than muscle, have none.
    """
    if not image.shape == cavity.shape == wall.shape or image.ndim != 3:
        raise ValueError(f"image, cavity and wall must be (z, y, x), got {image.shape}, {cavity.shape}, {wall.shape}")
    found = np.zeros_like(cavity)
    for index in range(len(cavity)):
        inside, muscle = image[index][cavity[index]], image[index][wall[index]]
        if not inside.size or muscle.size < _FEWEST_WALL:
            continue
        blood, dark = float(np.median(inside[inside >= np.median(inside)])), float(np.median(muscle))
        if not blood > _CONTRAST * dark:
            continue
        below = cavity[index] & (image[index] < 0.5 * (blood + dark))
        core = below & binary_erosion(cavity[index], _CROSS)
        found[index] = core | (below & binary_dilation(core, _CROSS))
    return found
