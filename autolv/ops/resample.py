"""Resampling as products with small 1D matrices: exact splines, several times faster than a general interpolator.

Sample positions follow the half-pixel convention: the first and last samples' outer edges stay where they are, so that
output sample i lies at (i + 0.5) * n_in / n_out - 0.5 (as in skimage's resize and torch's ``align_corners=False``).
Beyond the outermost samples the edge value goes on (scipy's mode ``nearest``). No low-pass filter is applied before
shrinking.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from types import EllipsisType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Weights of a tie such as 1/2 + 1/2 come out of float32 products with noise of about 1e-7 that depends on the machine.
_TIE = 1e-5
_MARGIN = 40  # samples beyond the ends that count: 0.27 ** 40 is nothing beside 1


@functools.lru_cache(maxsize=256)
def spline_matrix(n_in: int, n_out: int, order: int) -> NDArray[np.float32]:
    """Return the (n_out, n_in) matrix that resamples a line of n_in samples to n_out with a spline of ``order``.

    ``order`` is 3 (cubic), 1 (linear) or 0 (nearest; a sample midway goes to the higher index, as in scipy). The result
    is shared between calls and read-only. Rows sum to one. A cubic one holds scipy's own zoom of the unit vectors.
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
        matrix = _cubic(n_in, n_out)
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
    sizes = array.shape[array.ndim - len(shape) :]
    matrices = [spline_matrix(n, m, order) for n, m, order in zip(sizes, shape, per_axis, strict=True)]
    result = along_axes(np.asarray(array, dtype=np.float32), matrices)
    return result if result is not array else result.copy()


def along_axes(array: NDArray[np.float32], matrices: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return ``array`` with its last ``len(matrices)`` axes multiplied by one (n_out, n_in) matrix each.

    An axis whose matrix is the identity is left as it is; if all are, the result is ``array`` itself.
    """
    result = array
    # innermost axes first: their product is one large matrix product over contiguous rows
    for axis, matrix in reversed(list(zip(range(-len(matrices), 0), matrices, strict=True))):
        n_out, n_in = matrix.shape
        if n_out == n_in and np.array_equal(matrix, np.eye(n_in)):
            continue
        if axis == -1:
            result = (result.reshape(-1, n_in) @ matrix.T).reshape(*result.shape[:-1], n_out)
        else:
            lead, trail = result.shape[:axis], result.shape[axis + 1 :]
            result = (matrix @ result.reshape(*lead, n_in, -1)).reshape(*lead, n_out, *trail)
    return result


class Window(NamedTuple):
    """A part of one axis: output samples ``target`` computed from input samples ``source`` by ``matrix``."""

    target: slice
    source: slice
    matrix: NDArray[np.float32]


def linear_window(n_in: int, n_out: int, start: int, stop: int) -> Window | None:
    """Return the output samples that input samples [start, stop) have a share in, when n_in are resampled to n_out.

    ``None`` if there are none, which happens when an axis shrinks to less than half.
    """
    return _window(spline_matrix(n_in, n_out, 1), start, stop)


def nearest_window(n_in: int, n_out: int, start: int, stop: int) -> Window | None:
    """Return the same as ``linear_window`` where each output sample is the nearest input sample."""
    return _window(spline_matrix(n_in, n_out, 0), start, stop)


def _window(matrix: NDArray[np.float32], start: int, stop: int) -> Window | None:
    rows = np.flatnonzero(matrix[:, start:stop].any(axis=1))
    if rows.size == 0:
        return None
    target = slice(int(rows[0]), int(rows[-1]) + 1)
    columns = np.flatnonzero(matrix[target].any(axis=0))
    source = slice(int(columns[0]), int(columns[-1]) + 1)
    return Window(target, source, matrix[target, source])


def nearest_index(n_in: int, n_out: int) -> NDArray[np.intp]:
    """Return for each of n_out samples the nearest of n_in (midway: the higher one)."""
    # integer arithmetic: floor((i + 0.5) * n_in / n_out) without rounding
    return ((2 * np.arange(n_out) + 1) * n_in) // (2 * n_out)


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
    fill = int(present[0]) if present.size else 0
    lead = labels.shape[: labels.ndim - len(shape)]
    result = np.full((*lead, *shape), fill, dtype=np.uint8)
    windows = _windows_around(labels != fill, shape)
    if windows is None:
        return result
    # only near the other classes can anything but ``fill`` come out
    source: tuple[EllipsisType | slice, ...] = (..., *(w.source for w in windows))
    target: tuple[EllipsisType | slice, ...] = (..., *(w.target for w in windows))
    result[target] = _largest_share(labels[source], present, [w.matrix for w in windows])
    return result


def _windows_around(other: NDArray[np.bool_], shape: Sequence[int]) -> list[Window] | None:
    """Return, per axis of ``shape``, the window that all true voxels have a share in; ``None`` if there is none."""
    windows = []
    for axis, size in zip(range(-len(shape), 0), shape, strict=True):
        rest = tuple(i for i in range(other.ndim) if i != other.ndim + axis)
        present = np.flatnonzero(other.any(axis=rest))
        if present.size == 0:
            return None
        window = linear_window(other.shape[axis], size, int(present[0]), int(present[-1]) + 1)
        if window is None:
            return None
        windows.append(window)
    return windows


def _largest_share(
    labels: NDArray[np.uint8], present: NDArray[np.intp], matrices: Sequence[NDArray[np.float32]]
) -> NDArray[np.uint8]:
    """Return for each output voxel the class of ``present`` with the largest share, the first among equals."""
    best = along_axes((labels == present[0]).astype(np.float32), matrices)
    winner = np.full(best.shape, present[0], dtype=np.uint8)
    for label in present[1:]:
        share = along_axes((labels == label).astype(np.float32), matrices)
        better = share > best + _TIE
        np.copyto(winner, label, where=better, casting="unsafe")
        np.copyto(best, share, where=better)
    return winner


def _nearest_labels(labels: NDArray[np.uint8], shape: Sequence[int]) -> NDArray[np.uint8]:
    result = labels
    for axis, size in zip(range(-len(shape), 0), shape, strict=True):
        result = np.take(result, nearest_index(labels.shape[axis], size), axis=axis)
    return result


def _cubic(n_in: int, n_out: int) -> NDArray[np.float32]:
    """Return the matrix of scipy's ``zoom`` with order 3 and mode ``nearest``, made in one piece and without scipy.

    An output sample is the sum of four B-spline coefficients; a sample's share in the coefficient k samples away is
    sqrt(3) (sqrt(3) - 2) ** k, by the recursive filter of Unser 1999 (IEEE Signal Process Mag 16:22).
    """
    wanted, lengthened = np.arange(-2, n_in + 2), np.arange(-_MARGIN, n_in + _MARGIN)
    share = math.sqrt(3) * (math.sqrt(3) - 2) ** np.arange(n_in + 2 + _MARGIN)
    shares = share[np.abs(np.subtract.outer(wanted, lengthened))]  # (n_in + 4, n_in + 2 margins)
    coefficients = shares[:, _MARGIN:-_MARGIN].copy()  # (n_in + 4, n_in)
    coefficients[:, 0] += shares[:, :_MARGIN].sum(axis=1)  # what goes on beyond the ends is the edge value
    coefficients[:, -1] += shares[:, -_MARGIN:].sum(axis=1)
    position = (np.arange(n_out) + 0.5) * (n_in / n_out) - 0.5
    low = np.floor(position).astype(np.intp)
    t = (position - low)[:, None]
    matrix: NDArray[np.float64] = (1 - t) ** 3 / 6 * coefficients[low + 1]
    matrix += (3 * t**3 - 6 * t**2 + 4) / 6 * coefficients[low + 2]
    matrix += (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6 * coefficients[low + 3]
    matrix += t**3 / 6 * coefficients[low + 4]
    return matrix.astype(np.float32)


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
    matrix[np.arange(n_out), nearest_index(n_in, n_out)] = 1
    return matrix
