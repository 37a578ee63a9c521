"""Connected components, and the channels that a step works on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cc3d
import numpy as np
from numpy.typing import NDArray

_FULL: Final = 26  # voxels that share a face, an edge or a corner are connected
_FACES: Final = 6


def channels_of(channel: int | None, structures: Sequence[str]) -> tuple[int, ...]:
    """Return the one channel asked for, or all of them."""
    if channel is None:
        return tuple(range(1, len(structures) + 1))
    if not 1 <= channel <= len(structures):
        raise ValueError(f"channel must be between 1 and {len(structures)}, got {channel}")
    return (channel,)


def components(mask: NDArray[np.bool_]) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
    """Return the 3D components of ``mask`` (z, y, x), numbered from 1 in scan order, and their voxels by number.

    The second array begins with 0 for the background, so its largest entry is the largest component; an empty mask
    gives just that.
    """
    numbered, count = cc3d.connected_components(np.ascontiguousarray(mask), connectivity=_FULL, return_N=True)
    voxels = np.bincount(numbered.ravel(), minlength=count + 1).astype(np.int64)
    voxels[0] = 0
    return numbered, voxels


def in_plane_components(mask: NDArray[np.bool_]) -> NDArray[np.integer]:
    """Return the components of each slice of ``mask`` (z, y, x) by itself, numbered from 1; pixels meet at their edges."""
    apart = np.zeros((2 * len(mask), *mask.shape[1:]), dtype=bool)  # an empty slice between each two
    apart[::2] = mask
    numbered: NDArray[np.integer] = cc3d.connected_components(apart, connectivity=_FACES)
    return numbered[::2]
