"""Members are put together by the mean of their probabilities, not of their logits.

A logit has no scale that two networks share: one that is trained longer, or is of another architecture, speaks louder
in a mean of logits. Probabilities weigh every member alike, and sum to one again.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


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


def most_probable(probabilities: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return the class of the highest probability per voxel, uint8 (z, y, x), from (classes, z, y, x).

    The lower class wins a tie. A running maximum: several times faster than ``argmax`` along the first axis.
    """
    if probabilities.ndim < 2 or not 1 <= len(probabilities) <= 256:
        raise ValueError(f"probabilities must be (classes, z, y, x), got shape {probabilities.shape}")
    highest = probabilities[0].copy()
    labels = np.zeros(highest.shape, dtype=np.uint8)
    for number in range(1, len(probabilities)):
        higher = probabilities[number] > highest
        labels[higher] = number
        np.maximum(highest, probabilities[number], out=highest)
    return labels
