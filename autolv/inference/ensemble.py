"""Members are put together by the mean of their probabilities, not of their logits.

A logit has no scale that two networks share: one that is trained longer, or is of another architecture, speaks louder
in a mean of logits. Probabilities weigh every member alike, and sum to one again. The folds of an imported nnU-Net are the
exception: nnU-Net averages their logits, and so they are one member (``mean_of_logits``).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from autolv.ops.crop import box_shape
from autolv.preprocessing.inverse import on_whole_grid
from autolv.schema.preprocessed import Box


def mean_probabilities(members: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the mean of the members' probabilities, each (classes, z, y, x) on one grid; they are not changed.

    Members are taken one by one, so an iterator keeps two of them in memory. One member alone gives its own
    probabilities, bit for bit. Raises ``ValueError`` for none, or for members of different shapes.
    """
    total: NDArray[np.float32] | None = None
    count = 0
    for member in members:
        count += 1
        if total is None:
            total = member.astype(np.float32)  # a copy
        elif member.shape != total.shape:
            raise ValueError(f"members must lie on one grid, got shapes {total.shape} and {member.shape}")
        else:
            total += member
    if total is None:
        raise ValueError("an ensemble needs at least one member")
    total /= np.float32(count)
    return total


def mean_in_box(members: Sequence[tuple[NDArray[np.float32], Box]]) -> tuple[NDArray[np.float32], Box]:
    """Return the ``mean_probabilities`` of members (classes, z, y, x) that lie in boxes of one grid, and the box of all.

    Outside its box the background is certain for a member, and so it is for the mean outside the box that comes back. A box
    may be empty. One member alone comes back as it is, not copied.
    """
    filled = [box for array, box in members if array.size]
    if not filled or len(members) == 1:
        return members[0]
    whole = functools.reduce(_union, filled)
    return mean_probabilities(_on_box(array, box, whole) for array, box in members), whole


def _on_box(array: NDArray[np.float32], box: Box, whole: Box) -> NDArray[np.float32]:
    if box == whole:
        return array
    if array.size:
        return on_whole_grid(array, _within(whole, box), box_shape(whole))
    certain = np.zeros((len(array), *box_shape(whole)), dtype=np.float32)
    certain[0] = 1.0
    return certain


@final
class RunningMean:
    """The weighted mean of members' probabilities, built up one by one, where any of them is not sure of background.

    ``array`` is (classes, z, y, x) of ``box``; outside it the background is certain for all. One member alone, of
    weight 1, keeps its own probabilities, bit for bit. Memory does not grow with the number of members.
    """

    def __init__(self, probabilities: NDArray[np.float32], box: Box, weight: float = 1.0) -> None:
        """Begin with a member's ``probabilities`` in ``box``, which are taken over and changed."""
        self.array, self.box = probabilities, box
        self._weight = weight
        if weight != 1.0:
            self.array *= np.float32(weight)

    def add(self, probabilities: NDArray[np.float32], box: Box, weight: float) -> None:
        """Add a member with its share; all weights are to sum to one."""
        if len(probabilities) != len(self.array):
            raise ValueError(f"members must have the same classes, got {len(self.array)} and {len(probabilities)}")
        union = _union(self.box, box)
        if union != self.box:
            self.array = on_whole_grid(self.array, _within(union, self.box), box_shape(union), self._weight)
            self.box = union
        if union != box:
            probabilities = on_whole_grid(probabilities, _within(union, box), box_shape(union))
        self.array += np.float32(weight) * probabilities
        self._weight += weight


def _union(one: Box, other: Box) -> Box:
    """Return the smallest box that holds both."""
    z, y, x = ((min(a, c), max(b, d)) for (a, b), (c, d) in zip(one, other, strict=True))
    return z, y, x


def _within(outer: Box, inner: Box) -> Box:
    """Return ``inner`` in voxels of ``outer``."""
    z, y, x = ((a - start, b - start) for (a, b), (start, _) in zip(inner, outer, strict=True))
    return z, y, x


def most_probable(probabilities: NDArray[np.floating], order: Sequence[int] | None = None) -> NDArray[np.uint8]:
    """Return the class of the highest probability per voxel, uint8 (z, y, x), from (classes, z, y, x).

    In a tie the class that comes first in ``order`` wins, the lower one if there is none. A running maximum: several times
    faster than ``argmax`` along the first axis.
    """
    if probabilities.ndim < 2 or not 1 <= len(probabilities) <= 256:
        raise ValueError(f"probabilities must be (classes, z, y, x), got shape {probabilities.shape}")
    first, *others = range(len(probabilities)) if order is None else order
    highest = probabilities[first].copy()
    labels = np.full(highest.shape, first, dtype=np.uint8)
    for number in others:
        higher = probabilities[number] > highest
        labels[higher] = number
        np.maximum(highest, probabilities[number], out=highest)
    return labels
