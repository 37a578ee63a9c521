"""Fill holes slice by slice: the cavity has none, and nothing but cavity lies inside the myocardium."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Spacing
from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM
from autolv.postprocessing import POSTPROCESSING
from autolv.postprocessing._components import channels_of

# neighbours within a slice: the four that share an edge
_IN_PLANE = np.array([[[0] * 3] * 3, [[0, 1, 0], [1, 1, 1], [0, 1, 0]], [[0] * 3] * 3], dtype=bool)


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
    from scipy import ndimage

    wall = np.isin(labels, enclosing)
    if not wall.any():
        return
    box = ndimage.find_objects(wall.astype(np.uint8))[0]  # holes lie inside it
    inside, within = wall[box], labels[box]
    holes = ndimage.binary_fill_holes(inside, structure=_IN_PLANE) & (within == 0)
    if not holes.any():
        return
    numbered, _ = ndimage.label(holes, structure=_IN_PLANE)
    beside = ndimage.binary_dilation(within == channel, structure=_IN_PLANE)
    touching = np.unique(numbered[beside & holes])
    within[np.isin(numbered, touching[touching > 0])] = channel
