"""Slice levels (base, mid, apex) of a short-axis stack, found from the reference's anatomy, never from index order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM
from autolv.evaluation.means import mean
from autolv.evaluation.overlap import Overlap, overlap_of

LEVELS = ("base", "mid", "apex")


def slice_levels(reference: NDArray[np.integer], structures: Sequence[str]) -> tuple[str, ...]:
    """Return the level of each slice of ``reference``, shape (z, y, x) with internal labels; ``""`` if it has no LV.

    The slices from the first to the last in which the reference has LV cavity or myocardium are cut into thirds (as
    near as whole slices allow, ends alike). Slices beyond the basal end belong to the base and those beyond the
    apical end to the apex, so that whatever is segmented there too much is counted. The base is the end towards which
    the labelled area's centre of mass along z lies: the heart tapers to the apex, and the right ventricle ends before
    it.
    """
    lv = [channel for channel, name in enumerate(structures, start=1) if name in (LV_CAVITY, LV_MYOCARDIUM)]
    slices = np.flatnonzero(np.isin(reference, lv).any(axis=(1, 2)))
    if not slices.size:
        return ("",) * len(reference)
    first, last = int(slices[0]), int(slices[-1])
    area_voxels = np.count_nonzero(reference, axis=(1, 2))  # (z,)
    centre = float(area_voxels @ np.arange(len(reference))) / int(area_voxels.sum())
    from_base = np.arange(len(reference)) - first
    if centre > (first + last) / 2:
        from_base = last - np.arange(len(reference))
    third = (2 * from_base + 1) * 3 // (2 * (last - first + 1))
    return tuple(LEVELS[int(i)] for i in np.clip(third, 0, 2))


def level_overlap(histogram: NDArray[np.int64], channel: int, levels: Sequence[str]) -> dict[str, Overlap]:
    """Return the overlap of the structure ``channel`` over the slices of each level, from a (z, c, c) joint histogram.

    Its Dice and IoU are NaN where neither side has the structure at that level, or there is no such level.
    """
    of_slice = np.asarray(levels)
    return {level: overlap_of(histogram[of_slice == level], channel) for level in LEVELS}


def level_means(of_slice: Sequence[float], levels: Sequence[str]) -> dict[str, float]:
    """Return the mean of the defined values of each level's slices; NaN where there is none."""
    values, names = np.asarray(of_slice, dtype=np.float64), np.asarray(levels)
    return {level: mean(values[names == level]) for level in LEVELS}


def missed_and_invented(histogram: NDArray[np.int64], channel: int) -> tuple[int, int]:
    """Return how many slices only the reference has the structure in (missed), and only the prediction (invented)."""
    referred = histogram[:, channel, :].sum(axis=1) > 0  # (z,)
    predicted = histogram[:, :, channel].sum(axis=1) > 0  # (z,)
    return int((referred & ~predicted).sum()), int((predicted & ~referred).sum())
