"""Where the heart lies in a stack: found in a few slices by the network itself, so that one window per slice is enough.

What is found is trusted only if it looks like one heart that fits the window; else the whole field is to be predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_SLICES = 5  # enough for a place in-plane, which hardly changes from base to apex
_FROM, _TO = 0.2, 0.8  # of the stack: beyond lie the great vessels, and the apex
_LARGEST_RIVAL = 0.25  # of the heart's votes that another place may get
_SMALLEST, _LARGEST = 0.15, 0.9  # of the window's side that a heart takes up
_MARGIN = 4  # pixels between heart and window, except where the image ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A heart's box in-plane, in voxels: ``low`` and ``high`` (exclusive) are (y, x)."""

    low: tuple[int, int]
    high: tuple[int, int]


def coarse_slices(slices: int) -> tuple[int, ...]:
    """Return the slices in which the heart is looked for, of a stack of ``slices``."""
    wanted = np.linspace(_FROM, _TO, _SLICES) * (slices - 1)
    return tuple(int(z) for z in np.unique(np.round(wanted)))


def find_heart(labels: NDArray[np.uint8], window: Sequence[int]) -> Found | None:
    """Return the heart in ``labels`` (k, y, x) of a few slices, or ``None`` where it is not sure.

    Each pixel has as many votes as slices in which it is labelled; the connected place with most of them is the heart.
    It is not sure if there is none, if another place has a quarter of its votes, or if it is too small or too large for
    a ``window`` (y, x) to hold it with what surrounds it.
    """
    votes = (labels > 0).sum(axis=0)
    places, count = ndimage.label(votes > 0, structure=np.ones((3, 3)))
    if count == 0:
        return None
    weights = np.asarray(ndimage.sum_labels(votes, places, np.arange(1, count + 1)))
    first = int(weights.argmax())
    if (np.delete(weights, first) > _LARGEST_RIVAL * weights[first]).any():
        return None
    rows, columns = ndimage.find_objects(places)[first]
    sides = [(part.stop - part.start) / side for part, side in zip((rows, columns), window, strict=True)]
    if max(sides) < _SMALLEST or max(sides) > _LARGEST:
        return None
    return Found(low=(rows.start, columns.start), high=(rows.stop, columns.stop))


def window_about(found: Found, shape: Sequence[int], window: Sequence[int]) -> tuple[int, int]:
    """Return where a ``window`` (y, x) about the heart begins in an image of ``shape`` (y, x), no smaller than it."""
    starts = [
        min(max(round((low + high - side) / 2), 0), size - side)
        for low, high, size, side in zip(found.low, found.high, shape, window, strict=True)
    ]
    return starts[0], starts[1]


def reaches_border(labels: NDArray[np.uint8], start: tuple[int, int], window: Sequence[int]) -> bool:
    """Return whether ``labels`` (z, y, x) come close to a side of the window beyond which the image goes on."""
    present = (labels > 0).any(axis=0)
    near = np.zeros_like(present)
    (y, x), (height, width) = start, (int(window[0]), int(window[1]))
    if y > 0:
        near[y : y + _MARGIN] = True
    if x > 0:
        near[:, x : x + _MARGIN] = True
    if y + height < present.shape[0]:
        near[y + height - _MARGIN : y + height] = True
    if x + width < present.shape[1]:
        near[:, x + width - _MARGIN : x + width] = True
    return bool((present & near).any())
