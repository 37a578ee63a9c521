"""Fill holes slice by slice: the cavity has none, and nothing but cavity lies inside the myocardium."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Spacing
from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM
from autolv.ops.crop import crop, nonzero_box
from autolv.postprocessing import POSTPROCESSING
from autolv.postprocessing._components import channels_of, in_plane_components


@POSTPROCESSING.register("fill_holes")
def fill_holes(
    labels: NDArray[np.uint8],
    channel: int | None,
    structures: Sequence[str],
    spacing_mm: Spacing,
) -> NDArray[np.uint8]:
    """Return ``labels`` (z, y, x) with the background that a structure encloses in a slice given to that structure.

    The myocardium encloses together with the LV cavity, and takes those holes that it touches: one inside the cavity
    alone is the cavity's. Holes that hold another structure keep it; a region that reaches the image's border is not a
    hole. ``channel`` ``None`` works on each structure in turn.
    """
    result = labels.copy()
    for number in channels_of(channel, structures):
        enclosing = [number]
        if structures[number - 1] == LV_MYOCARDIUM and LV_CAVITY in structures:
            enclosing.append(1 + list(structures).index(LV_CAVITY))
        _fill(result, number, enclosing)
    return result


def _fill(labels: NDArray[np.uint8], channel: int, enclosing: Sequence[int]) -> None:
    """Fill in place (the caller's own copy), within the box of the enclosing structures."""
    wall = np.isin(labels, enclosing)
    if not wall.any():
        return
    box = nonzero_box(wall)  # holes lie inside it
    within = crop(labels, box)
    holes = _enclosed(crop(wall, box)) & (within == 0)
    if not holes.any():
        return
    numbered = in_plane_components(holes)
    beside = _with_neighbours(within == channel)
    touching = np.unique(numbered[beside & holes])
    within[np.isin(numbered, touching[touching > 0])] = channel


def _enclosed(wall: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return what of the slices (z, y, x) is no wall and cannot be left without crossing it."""
    free = np.pad(~wall, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    numbered = in_plane_components(free)
    outside = numbered[:, :1, :1]  # a corner of the margin, which is one piece
    enclosed: NDArray[np.bool_] = free & (numbered != outside)
    return enclosed[:, 1:-1, 1:-1]


def _with_neighbours(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return ``mask`` (z, y, x) and the four neighbours of its pixels within their slices."""
    wide = mask.copy()
    wide[:, 1:] |= mask[:, :-1]
    wide[:, :-1] |= mask[:, 1:]
    wide[:, :, 1:] |= mask[:, :, :-1]
    wide[:, :, :-1] |= mask[:, :, 1:]
    return wide
