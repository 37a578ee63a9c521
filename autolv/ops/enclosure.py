"""Whether the myocardium encloses the LV cavity, as anatomy has it, or would with other codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM

# how many pairs of neighbouring pixels belong to these two: 0 is everything else, 1 + i the i-th code counted
Contacts = NDArray[np.int64]
POOR = 0.6  # of the LV cavity's edge, below which another labelling is looked for
_GOOD, _BETTER_BY = 0.8, 0.3
_FEWEST_PAIRS = 30  # a few stray pixels prove nothing


@dataclass(frozen=True, slots=True)
class Swap:
    """Codes that fit better, and which part of the LV cavity's edge is enclosed as it is, and with them."""

    labels: dict[str, int]
    enclosed: float
    enclosed_if_swapped: float


def count_contacts(labels: NDArray[np.uint8], codes: Sequence[int]) -> Contacts:
    """Return how often pixels of ``codes`` touch within slices of ``labels`` (z, y, x), in the middle half of the heart.

    Basal and apical slices are left out: there the cavity may be open, or the wall alone be seen.
    """
    n = len(codes) + 1
    table = np.zeros(256, dtype=np.intp)
    table[list(codes)] = np.arange(1, n)
    indices = table[labels]
    slices = np.flatnonzero(indices.any(axis=(1, 2)))
    contacts = np.zeros((n, n), dtype=np.int64)
    if slices.size == 0:
        return contacts
    quarter = (slices[-1] - slices[0] + 1) // 4
    middle = indices[slices[0] + quarter : slices[-1] + 1 - quarter]
    for a, b in ((middle[:, 1:], middle[:, :-1]), (middle[:, :, 1:], middle[:, :, :-1])):
        edge = a != b
        pairs = np.bincount(a[edge] * n + b[edge], minlength=n * n).reshape(n, n)
        contacts += pairs + pairs.T
    return contacts


def enclosed(contacts: Contacts, cavity: int, wall: int) -> float:
    """Return which part of the edge of index ``cavity`` touches ``wall``; NaN where there is hardly an edge."""
    edge = int(contacts[cavity].sum())
    return float(contacts[cavity, wall]) / edge if edge >= _FEWEST_PAIRS else float("nan")


def swap_that_fits(contacts: Contacts, labels: Mapping[str, int]) -> Swap | None:
    """Return other codes under which the myocardium encloses the LV, if it does not do so with ``labels``.

    ``contacts`` were counted for the codes in the order of ``labels``.
    """
    if LV_MYOCARDIUM not in labels:
        return None
    names = list(labels)
    cavity, wall = names.index(LV_CAVITY), names.index(LV_MYOCARDIUM)
    now = enclosed(contacts, cavity + 1, wall + 1)
    best: Swap | None = None
    for order in permutations(range(len(names))):
        then = enclosed(contacts, order[cavity] + 1, order[wall] + 1)
        fits = then >= _GOOD and not now > min(POOR, then - _BETTER_BY)
        if fits and (best is None or then > best.enclosed_if_swapped):
            codes = {name: labels[names[place]] for name, place in zip(names, order, strict=True)}
            by_code = dict(sorted(codes.items(), key=lambda item: item[1]))
            best = Swap(by_code, 0.0 if np.isnan(now) else now, then)
    return best
