"""Windows that cover an image, and the weight of each voxel in its window."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=np.floating)
_SIGMAS_PER_WINDOW = 8.0  # Isensee 2021: a Gaussian with sigma = window / 8
_NNUNET_LARGEST = 10.0  # value_scaling_factor of nnU-Net's predictor: its weights use more of half precision's range


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
    return tuple(round(rest / steps * i) for i in range(steps + 1))


def gaussian_window(window: Sequence[int]) -> NDArray[np.float32]:
    """Return the weights of a window's voxels: a Gaussian about its centre, at most 1, everywhere positive.

    sigma is an eighth of the window along each axis (Isensee 2021). The result is shared between calls and read-only.
    """
    return _gaussian(tuple(int(n) for n in window))


def nnunet_window(window: Sequence[int]) -> NDArray[np.float16]:
    """Return the weights that nnU-Net 2.8.1 gives to a window's voxels, in half precision, the largest 10.

    The Gaussian stands on voxel n // 2 of each axis, which for an even n is half a voxel off the centre. Towards the corners
    it is less than half precision can tell from 0; there it is the least number above. The result is shared and read-only.
    """
    return _nnunet(tuple(int(n) for n in window))


@functools.lru_cache(maxsize=32)
def _gaussian(window: tuple[int, ...]) -> NDArray[np.float32]:
    # At a corner of three axes the weight is exp(-24) = 4e-11: small, yet far above float32's least number.
    return _positive(_bell(window, [(size - 1) / 2 for size in window]).astype(np.float32))


@functools.lru_cache(maxsize=32)
def _nnunet(window: tuple[int, ...]) -> NDArray[np.float16]:
    # by way of float32, as torch rounds a double to half
    weights = _NNUNET_LARGEST * _bell(window, [size // 2 for size in window])
    return _positive(weights.astype(np.float32).astype(np.float16))


def _bell(window: tuple[int, ...], centre: Sequence[float]) -> NDArray[np.float64]:
    if not window or min(window) < 1:
        raise ValueError(f"each side of a window must be positive, got {window}")
    weights = np.ones(())
    for size, middle in zip(window, centre, strict=True):
        distance = (np.arange(size) - middle) / (size / _SIGMAS_PER_WINDOW)
        weights = weights[..., None] * np.exp(-0.5 * distance**2)
    return weights


def _positive(weights: NDArray[F]) -> NDArray[F]:
    np.maximum(weights, weights[weights > 0].min(), out=weights)
    weights.setflags(write=False)
    return weights
