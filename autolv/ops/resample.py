"""Resampling as products with small 1D matrices: exact splines, several times faster than a general interpolator.

Sample positions follow the half-pixel convention: the first and last samples' outer edges stay where they are, so output
sample i lies at (i + 0.5) * n_in / n_out - 0.5 (as in skimage's resize and torch's ``align_corners=False``). Beyond the
outermost samples the edge value goes on (scipy's mode ``nearest``). No low-pass filter is applied before shrinking.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Weights of a tie such as 1/2 + 1/2 come out of float32 products with noise of about 1e-7 that depends on the machine.
_TIE = 1e-5


@functools.lru_cache(maxsize=256)
def spline_matrix(n_in: int, n_out: int, order: int) -> NDArray[np.float32]:
    """Return the (n_out, n_in) matrix that resamples a line of n_in samples to n_out with a spline of ``order``.

    ``order`` is 3 (cubic), 1 (linear) or 0 (nearest; a sample midway goes to the higher index, as in scipy). The result
    is shared between calls and read-only. Rows sum to one. The matrix is scipy's own zoom of the unit vectors.
    """
    if n_in < 1 or n_out < 1:
        raise ValueError(f"sizes must be positive, got {n_in} and {n_out}")
    if order not in (0, 1, 3):
        raise ValueError(f"order must be 0, 1 or 3, got {order}")
    if n_in == n_out:
        matrix = np.eye(n_in, dtype=np.float32)
    elif n_in == 1:
        matrix = np.ones((n_out, 1), dtype=np.float32)
    elif order == 3:
        columns = [ndimage.zoom(unit, n_out / n_in, order=3, mode="nearest", grid_mode=True) for unit in np.eye(n_in)]
        matrix = np.stack(columns, axis=1).astype(np.float32)
    else:
        matrix = _linear(n_in, n_out) if order == 1 else _nearest(n_in, n_out)
    matrix.setflags(write=False)
    return matrix


def resample(array: NDArray[np.generic], shape: Sequence[int], orders: int | Sequence[int]) -> NDArray[np.float32]:
    """Return ``array`` resampled along its last ``len(shape)`` axes to ``shape``, as float32.

    ``orders`` is one spline order or one per axis of ``shape``. An axis that keeps its size is not touched.
    """
    if not 1 <= len(shape) <= array.ndim:
        raise ValueError(f"cannot resample the last {len(shape)} axes of shape {array.shape}")
    per_axis = [orders] * len(shape) if isinstance(orders, int) else list(orders)
    if len(per_axis) != len(shape):
        raise ValueError(f"expected one order, or one per axis of {tuple(shape)}, got {orders}")
    result = np.asarray(array, dtype=np.float32)
    # innermost axes first: their product is one large matrix product over contiguous rows
    for axis, size, order in reversed(list(zip(range(-len(shape), 0), shape, per_axis, strict=True))):
        result = _along(result, axis, size, order)
    return result if result is not array else result.copy()


def resample_labels(labels: NDArray[np.uint8], shape: Sequence[int], classes: int, order: int = 1) -> NDArray[np.uint8]:
    """Return labels (..., as in ``resample``) on a grid of ``shape``.

    ``order`` 1: each class is interpolated linearly and the largest wins, a tie going to the lower class. ``order`` 0:
    the nearest label. ``classes`` is the number of classes with the background; a label beyond it is an error.
    """
    if labels.size and int(labels.max()) >= classes:
        raise ValueError(f"labels must be below {classes}, got {int(labels.max())}")
    if order not in (0, 1):
        raise ValueError(f"the order for labels must be 0 or 1, got {order}")
    if order == 0:
        return _nearest_labels(labels, shape)
    if labels.shape[labels.ndim - len(shape) :] == tuple(shape):
        return labels.copy()
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=classes))
    winner = np.full((*labels.shape[: labels.ndim - len(shape)], *shape), present[0], dtype=np.uint8)
    if present.size == 1:
        return winner
    best = resample(labels == present[0], shape, 1)
    for label in present[1:]:
        share = resample(labels == label, shape, 1)
        better = share > best + _TIE
        winner[better] = label
        np.copyto(best, share, where=better)
    return winner


def _along(array: NDArray[np.float32], axis: int, size: int, order: int) -> NDArray[np.float32]:
    n_in = array.shape[axis]
    if n_in == size:
        return array
    matrix = spline_matrix(n_in, size, order)
    if axis == -1:
        return (array.reshape(-1, n_in) @ matrix.T).reshape(*array.shape[:-1], size)
    lead, trail = array.shape[:axis], array.shape[axis + 1 :]
    return (matrix @ array.reshape(*lead, n_in, -1)).reshape(*lead, size, *trail)


def _nearest_labels(labels: NDArray[np.uint8], shape: Sequence[int]) -> NDArray[np.uint8]:
    result = labels
    for axis, size in zip(range(-len(shape), 0), shape, strict=True):
        result = np.take(result, _nearest_index(labels.shape[axis], size), axis=axis)
    return result


def _linear(n_in: int, n_out: int) -> NDArray[np.float32]:
    position = np.clip((np.arange(n_out) + 0.5) * (n_in / n_out) - 0.5, 0, n_in - 1)
    low = np.minimum(position.astype(np.intp), n_in - 2)
    share = position - low
    matrix = np.zeros((n_out, n_in))
    matrix[np.arange(n_out), low] = 1 - share
    matrix[np.arange(n_out), low + 1] = share
    return matrix.astype(np.float32)


def _nearest(n_in: int, n_out: int) -> NDArray[np.float32]:
    matrix = np.zeros((n_out, n_in), dtype=np.float32)
    matrix[np.arange(n_out), _nearest_index(n_in, n_out)] = 1
    return matrix


def _nearest_index(n_in: int, n_out: int) -> NDArray[np.intp]:
    # integer arithmetic: floor((i + 0.5) * n_in / n_out) without rounding
    return ((2 * np.arange(n_out) + 1) * n_in) // (2 * n_out)
