"""Where the heart lies in a stack: found in a few slices by the network itself, so that one window per slice is enough.

What is found is trusted only if it looks like one heart that fits the window; else the whole field is to be predicted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from autolv.schema.preprocessed import Grid

_SLICES = 5  # enough for a place in-plane, which hardly changes from base to apex
_FROM, _TO = 0.2, 0.8  # of the stack: beyond lie the great vessels, and the apex
_LARGEST_RIVAL = 0.5  # of the heart's votes that another place may get
_LARGEST_RIVAL_IN_PART = 0.25  # the same where no place has three structures
_SEEN_IN = 2  # slices, that a pixel counts for the heart's box: what hangs on to it in a single one does not
_NOTHING = 1e-9  # of a pixel, so that there is a logarithm
_SMALLEST, _LARGEST = 0.15, 0.9  # of the window's side that a heart takes up
_MARGIN = 4  # pixels between heart and window, except where the image ends
_ROUNDING = 1e-6  # of a voxel: an edge that lies on another stays there


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A heart's box in-plane, in voxels: ``low`` and ``high`` (exclusive) are (y, x)."""

    low: tuple[int, int]
    high: tuple[int, int]

    def moved(self, y: int, x: int) -> Found:
        """Return the same box in an image whose first voxel lies ``y`` and ``x`` voxels further up."""
        return Found(low=(self.low[0] + y, self.low[1] + x), high=(self.high[0] + y, self.high[1] + x))

    def on(self, there: Grid, here: Grid) -> Found:
        """Return the box, found on the grid ``here``, on the grid ``there`` of the same frame, rounded outwards."""
        low, high = [], []
        for axis in (1, 2):
            (start, stop), (start_there, stop_there) = here.box[axis], there.box[axis]
            # first in voxels of the frame itself: outer edges of the crop and of the grid coincide
            scale, back = (stop - start) / here.shape[axis], there.shape[axis] / (stop_there - start_there)
            first, last = (
                (start + edge * scale - start_there) * back for edge in (self.low[axis - 1], self.high[axis - 1])
            )
            low.append(math.floor(first + _ROUNDING))
            high.append(math.ceil(last - _ROUNDING))
        return Found(low=(low[0], low[1]), high=(high[0], high[1]))


def coarse_slices(slices: int) -> tuple[int, ...]:
    """Return the slices in which the heart is looked for, of a stack of ``slices``."""
    wanted = np.linspace(_FROM, _TO, _SLICES) * (slices - 1)
    return tuple(int(z) for z in np.unique(np.round(wanted)))


def find_heart(labels: NDArray[np.uint8], window: Sequence[int]) -> Found | None:
    """Return the heart in ``labels`` (k, y, x) of a few slices, or ``None`` where it is not sure.

    Each connected place, seen from above, has votes (see ``_votes``); the one with most of them is the heart. It is not sure
    if there is none, if another place has more than a share of its votes, or if it is too small or too large for a
    ``window`` (y, x) to hold it with what surrounds it.
    """
    present = labels > 0
    places, count = ndimage.label(present.any(axis=0), structure=np.ones((3, 3)))
    if count == 0:
        return None
    votes, largest_rival = _votes(labels, places, count)
    first = int(votes.argmax())
    if (np.delete(votes, first) > largest_rival * votes[first]).any():
        return None
    heart = present & (places == first + 1)
    often = heart.sum(axis=0) >= _SEEN_IN
    found = box_of(heart * often if often.any() else heart)
    return found if fits(found, window) else None


def _votes(
    labels: NDArray[np.uint8], places: NDArray[np.signedinteger[Any]], count: int
) -> tuple[NDArray[np.float64], float]:
    """Return the votes of each of ``count`` places, and which share of the first's makes another one a rival.

    Other organs are taken for a wall with its cavity more often than for a whole heart, and not in each slice. So a slice
    gives a place the geometric mean of the areas of all structures that are found anywhere, nothing where one of them is
    missing, and the sum counts by the share of slices that give something. Where no place has all structures in any
    slice, each has as many votes as pixels are labelled in it; there, and of fewer than three structures, less is a rival.
    """
    slices = len(labels)
    structures = np.unique(labels[labels > 0])
    areas = np.zeros((len(structures), slices, count))
    for row, structure in enumerate(structures):
        for z in range(slices):
            areas[row, z] = np.bincount(places[labels[z] == structure], minlength=count + 1)[1:]
    means = np.exp(np.log(np.maximum(areas, _NOTHING)).mean(axis=0)) * (areas > 0).all(axis=0)
    whole = means.sum(axis=0) * (means > 0).mean(axis=0)
    if not whole.any():
        return areas.sum(axis=(0, 1)), _LARGEST_RIVAL_IN_PART
    return whole, _LARGEST_RIVAL if len(structures) > 2 else _LARGEST_RIVAL_IN_PART


def fits(found: Found, window: Sequence[int]) -> bool:
    """Return whether a heart is neither too small nor too large for a ``window`` (y, x) about it."""
    sides = [(high - low) / side for low, high, side in zip(found.low, found.high, window, strict=True)]
    return _SMALLEST <= max(sides) <= _LARGEST


def box_of(labels: NDArray[np.uint8] | NDArray[np.bool_]) -> Found:
    """Return the box in-plane of all that is labelled in ``labels`` (z, y, x); a ``ValueError`` where nothing is."""
    present = np.any(labels > 0, axis=0)
    if not present.any():
        raise ValueError("nothing is labelled")
    rows, columns = (np.flatnonzero(present.any(axis=axis)) for axis in (1, 0))
    return Found(low=(int(rows[0]), int(columns[0])), high=(int(rows[-1]) + 1, int(columns[-1]) + 1))


def window_about(found: Found, shape: Sequence[int], window: Sequence[int]) -> tuple[int, int]:
    """Return where a ``window`` (y, x) about the heart begins in an image of ``shape`` (y, x), no smaller than it."""
    starts = [
        min(max(round((low + high - side) / 2), 0), size - side)
        for low, high, size, side in zip(found.low, found.high, shape, window, strict=True)
    ]
    return starts[0], starts[1]


def apart_from_heart(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which of the ``labels`` (z, y, x) of a window about the heart lie apart from it, bool (z, y, x).

    The heart is the largest connected piece, with the pieces that lie above or below it: an unlabelled slice between them
    does not cut it in two.
    """
    present = labels > 0
    pieces, count = ndimage.label(present, structure=np.ones((3, 3, 3)))
    if count < 2:
        return np.zeros_like(present)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    footprint = (pieces == 1 + int(sizes[1:].argmax())).any(axis=0)
    kept = np.zeros(count + 1, dtype=bool)
    kept[np.unique(pieces[:, footprint])] = True
    return present & ~kept[pieces]


def reaches_border(labels: NDArray[np.uint8], start: tuple[int, int], shape: Sequence[int]) -> bool:
    """Return whether ``labels`` (z, y, x) of a window come close to a side of it beyond which the image goes on.

    The window begins at ``start`` (y, x) of an image of ``shape`` (y, x).
    """
    present: NDArray[np.bool_] = np.any(labels > 0, axis=0)
    (y, x), (height, width) = start, present.shape
    return bool(
        (y > 0 and present[:_MARGIN].any())
        or (x > 0 and present[:, :_MARGIN].any())
        or (y + height < shape[0] and present[-_MARGIN:].any())
        or (x + width < shape[1] and present[:, -_MARGIN:].any())
    )
