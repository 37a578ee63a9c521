"""Distances from each voxel of one set to the nearest of another: exact, and quick where most are near.

A distance transform visits every voxel of a box, of which two surfaces are a small part, and most voxels of one lie within
a few voxels of the other. So the neighbourhood of all is looked through first, from near to far: what is found first is the
nearest. The few that are left are compared with all; where they are many, a transform is made after all.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

_NEAR = 6.0  # times the finer in-plane spacing: how far neighbourhoods reach (about 110 voxels of a slice)
_MOST_PAIRS = 20_000_000  # beyond it a transform is quicker than comparing
_AT_ONCE = 1 << 20  # pairs, of 8 bytes each

Floats = NDArray[np.float64]


def nearest_mm(a: NDArray[np.bool_], b: NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> tuple[Floats, Floats]:
    """Return, for each voxel of ``a``, the distance to the nearest of ``b`` between centres, and the same for each of ``b``.

    The masks (z, y, x) have one shape, and distances come in the order of the array. Slices whose spacing is infinite know
    nothing of each other: each must then hold voxels of both masks or of neither. Otherwise both masks must hold some.
    """
    return np.sqrt(_squared(a, b, spacing_mm)), np.sqrt(_squared(b, a, spacing_mm))


def _squared(of: NDArray[np.bool_], to: NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> Floats:
    """Return the squared distances from the voxels of ``of`` to the nearest ones of ``to``."""
    rings = _rings(spacing_mm)
    margin = np.max([np.abs(offsets).max(axis=0) for _, offsets in rings], axis=0)
    wide = tuple(n + 2 * more for n, more in zip(of.shape, margin, strict=True))
    inner = tuple(slice(more, more + n) for n, more in zip(of.shape, margin, strict=True))
    there, asked = np.zeros(wide, dtype=bool), np.zeros(wide, dtype=bool)
    there[inner], asked[inner] = to, of
    there = there.ravel()
    place = np.flatnonzero(asked)  # (n,)
    steps = np.array([wide[1] * wide[2], wide[2], 1])
    squared, asking = np.zeros(place.size), np.arange(place.size)
    for distance, offsets in rings:
        found = there[place[:, None] + offsets @ steps].any(axis=1)
        squared[asking[found]] = distance
        place, asking = place[~found], asking[~found]
        if not asking.size:
            return squared
    squared[asking] = _compared(of, to, asking, spacing_mm)
    return squared


@functools.lru_cache(maxsize=64)
def _rings(spacing_mm: tuple[float, ...]) -> tuple[tuple[float, NDArray[np.intp]], ...]:
    """Return the offsets (n, 3) of a neighbourhood, those of one squared distance together, from near to far."""
    limit = _NEAR * min(spacing_mm[1:])
    reach = [int(limit / mm) for mm in spacing_mm]
    z, y, x = (np.arange(-n, n + 1) for n in reach)
    along_z, along_y, along_x = (
        np.where(steps == 0, 0.0, (steps * (mm if math.isfinite(mm) else 0.0)) ** 2)
        for steps, mm in zip((z, y, x), spacing_mm, strict=True)
    )
    squared = (along_z[:, None, None] + along_y[:, None]) + along_x  # (z, y, x)
    values = sorted(set(squared[squared <= limit**2].tolist()))  # np.unique would import numpy.ma
    return tuple((value, np.argwhere(squared == value) - reach) for value in values)


def _compared(
    of: NDArray[np.bool_], to: NDArray[np.bool_], asking: NDArray[np.intp], spacing_mm: tuple[float, ...]
) -> Floats:
    """Return the squared distances of those voxels of ``of`` that are ``asking`` by comparing each with all of ``to``."""
    points, targets = np.argwhere(of)[asking], np.argwhere(to)
    alone = math.isinf(spacing_mm[0])
    result = np.empty(len(points))
    if not alone and len(points) * len(targets) > _MOST_PAIRS:
        return _by_transform(of, to, spacing_mm)[asking]
    for z in np.flatnonzero(np.bincount(points[:, 0])):
        mine = points[:, 0] == z
        chosen = targets[targets[:, 0] == z] if alone else targets
        apart: Floats = np.zeros(len(chosen)) if alone else np.square((chosen[:, 0] - z) * spacing_mm[0])
        if alone and np.count_nonzero(mine) * len(chosen) > _MOST_PAIRS:
            wanted = np.isin(np.flatnonzero(of[z]), np.flatnonzero(of[z])[asking[mine] - np.count_nonzero(of[:z])])
            result[mine] = _by_transform(of[z], to[z], spacing_mm[1:])[wanted]
            continue
        result[mine] = _least(points[mine, 1:], chosen[:, 1:], apart, spacing_mm[1:])
    return result


def _least(points: NDArray[np.intp], targets: NDArray[np.intp], apart: Floats, spacing_mm: tuple[float, ...]) -> Floats:
    """Return the least squared distance of each of ``points`` (n, 2) to ``targets`` (m, 2) that lie ``apart`` (m,) along z."""
    result = np.empty(len(points))
    rows = max(1, _AT_ONCE // len(targets))
    for begin in range(0, len(points), rows):
        part = points[begin : begin + rows]
        along_y = (np.subtract.outer(part[:, 0], targets[:, 0]) * spacing_mm[0]) ** 2  # (rows, m)
        along_x = (np.subtract.outer(part[:, 1], targets[:, 1]) * spacing_mm[1]) ** 2
        result[begin : begin + rows] = ((apart + along_y) + along_x).min(axis=1)
    return result


def _by_transform(of: NDArray[np.bool_], to: NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> Floats:
    """Return the squared distances of all voxels of ``of`` from a distance transform."""
    from scipy import ndimage  # its import takes longer than most evaluations

    distances: Floats = ndimage.distance_transform_edt(~to, sampling=spacing_mm)
    return distances[of] ** 2
