"""Windows that cover an image, and the weight of each voxel in its window."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_SIGMAS_PER_WINDOW = 8.0  # Isensee 2021: a Gaussian with sigma = window / 8


def window_starts(size: int, window: int, step_fraction: float = 0.5) -> tuple[int, ...]:
    """Return where windows along one axis begin: evenly spaced, at most ``step_fraction`` of a window apart.

    The first is 0 and the last ``size - window``, so the axis is covered and no window leaves it; a window that is not
    smaller than the axis gives (0,).
    """
    if size < 1 or window < 1:
        raise ValueError(f"size and window must be positive, got {size} and {window}")
    if not 0 < step_fraction <= 1:
        raise ValueError(f"step_fraction must lie in (0, 1], got {step_fraction}")
    rest = size - window
    if rest <= 0:
        return (0,)
    steps = math.ceil(rest / max(1.0, window * step_fraction))
    return tuple(round(rest * i / steps) for i in range(steps + 1))


def gaussian_window(window: Sequence[int], *, on_voxel: bool = False) -> NDArray[np.float32]:
    """Return the weights of a window's voxels: a Gaussian about its centre, at most 1, everywhere positive.

    sigma is an eighth of the window along each axis (Isensee 2021). With ``on_voxel`` the Gaussian stands on voxel n // 2
    of each axis, which for an even n is half a voxel off the centre, as nnU-Net has it. The result is shared between calls
    and read-only.
    """
    return _gaussian(tuple(int(n) for n in window), on_voxel=on_voxel)


@functools.lru_cache(maxsize=32)
def _gaussian(window: tuple[int, ...], *, on_voxel: bool) -> NDArray[np.float32]:
    if not window or min(window) < 1:
        raise ValueError(f"each side of a window must be positive, got {window}")
    weights = np.ones(())
    for size in window:
        centre = size // 2 if on_voxel else (size - 1) / 2
        distance = (np.arange(size) - centre) / (size / _SIGMAS_PER_WINDOW)
        weights = weights[..., None] * np.exp(-0.5 * distance**2)
    # At a corner of three axes the weight is exp(-24) = 4e-11: small, yet far above float32's least number.
    result: NDArray[np.float32] = weights.astype(np.float32)
    np.maximum(result, result[result > 0].min(), out=result)
    result.setflags(write=False)
    return result
