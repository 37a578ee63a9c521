"""What a quality check is, and the two ways in which most of them look: slice by slice, and frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Spacing
from autolv.core.labels import LV_CAVITY, STRUCTURES
from autolv.core.registry import Registry
from autolv.readout.quality._heart import Heart, Plane
from autolv.readout.quality._limits import Limits
from autolv.schema.quality import Finding, Level
from autolv.schema.readout import Readout

# Three pixels of ACDC's coarsest grid (1.95 mm; 11.4 mm², 5.9 mm): more than the hand's and the grid's own roughness.
TOLERANCE_MM2 = 12.0
TOLERANCE_MM = 6.0
PAINCHAUD = "Painchaud 2020 (arXiv 2006.08825)"

Found = list[Finding] | str  # or the reason why the check could not be made


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A small patient in whom one thing is wrong: frame (from 1) to labels (z, y, x), and the rest that ``judge`` takes."""

    frames: Mapping[int, NDArray[np.uint8]]
    spacing_mm: Spacing
    structures: tuple[str, ...] = STRUCTURES
    limits: Limits | None = None
    images: Mapping[int, NDArray[np.float32]] | None = None
    whole_cycle: bool = False
    readout: Readout | None = None
    expected_dice: Mapping[int, Mapping[str, float]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check. It finds something where its value lies above ``threshold`` (``below``: under it).

    ``source`` tells where the rule and the threshold come from, ``meaning`` in one sentence what it looks for, ``example``
    makes a patient in whom it finds something. ``needs`` names the structures without which it is not made.
    """

    name: str
    level: Level
    threshold: float
    unit: str
    source: str
    meaning: str
    structure: str
    find: Callable[[Check, Heart], Found]
    example: Callable[[], Example]
    below: bool = False
    needs: tuple[str, ...] = field(default=(LV_CAVITY,))

    def beyond(self, value: float) -> bool:
        """Return whether ``value`` lies beyond the threshold; never for NaN."""
        return value < self.threshold if self.below else value > self.threshold

    def finding(self, message: str, *, value: float, frame: int | None = None, slices: Sequence[int] = ()) -> Finding:
        """Return the finding of this check that ``message`` describes, without its full stop."""
        return Finding(
            check=self.name, level=self.level, message=f"{message}.", structure=self.structure, frame=frame,
            slices=tuple(int(index) for index in slices), value=float(value), threshold=self.threshold, unit=self.unit,
        )  # fmt: skip


QUALITY_CHECKS: Registry[Check] = Registry("quality check", "autolv.readout.quality")


def add(check: Check) -> None:
    """Register ``check`` under its name."""
    QUALITY_CHECKS.register(check.name)(check)


def by_slice(
    measure: Callable[[Plane], float], words: Callable[[float, Plane], str], *, basal: bool = True
) -> Callable[[Check, Heart], Found]:
    """Return how a check looks that takes ``measure`` in each slice: one finding per frame, of its worst slice.

    ``words`` say what was seen there. Without ``basal`` the slices are left out in which the valve plane may cut the ring.
    """

    def find(check: Check, heart: Heart) -> Found:
        found = []
        for frame in heart.frames:
            left_out: frozenset[int] = frozenset() if basal else heart.basal[frame.number]
            seen = [(measure(plane), plane) for plane in frame.planes if plane.index not in left_out]
            beyond = [(value, plane) for value, plane in seen if check.beyond(value)]
            if beyond:
                value, plane = (min if check.below else max)(beyond, key=lambda one: one[0])
                slices = sorted(other.index for _, other in beyond)
                others = [index for index in slices if index != plane.index]
                message = f"{words(value, plane)} in {at(heart, frame.number, plane.index)}{_also(heart, others)}"
                found.append(check.finding(message, value=value, frame=frame.number, slices=slices))
        return found

    return find


def place(heart: Heart, index: int) -> str:
    """Return in words which slice it is."""
    return f"slice {heart.slice_number(index)} of {heart.slices} (from the first in the file)"


def at(heart: Heart, frame: int, index: int) -> str:
    """Return in words which slice it is, and in which frame where there are several."""
    words = place(heart, index)
    return f"{words}, frame {frame}" if len(heart.frames) > 1 else words


def in_frame(heart: Heart, frame: int) -> str:
    """Return in words which frame it is, nothing where there is one only."""
    return f" in frame {frame}" if len(heart.frames) > 1 else ""


def _also(heart: Heart, others: Sequence[int]) -> str:
    if not others:
        return ""
    numbers = [str(number) for number in sorted(heart.slice_number(index) for index in others)]
    joined = numbers[0] if len(numbers) == 1 else f"{', '.join(numbers[:-1])} and {numbers[-1]}"
    return f", and less so in {'slice' if len(numbers) == 1 else 'slices'} {joined}"
