"""The 16 segments that a short-axis stack shows of the American Heart Association's 17 (Cerqueira 2002)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autolv.readout.base import ring_share
from autolv.readout.masks import Masks, full_circle
from autolv.readout.quantities import blank, derived, known
from autolv.readout.wall import RAYS, slice_thickness
from autolv.schema.readout import Level, Orientation, Quantity, Segment

NAMES: Mapping[int, str] = {
    1: "basal anterior", 2: "basal anteroseptal", 3: "basal inferoseptal", 4: "basal inferior",
    5: "basal inferolateral", 6: "basal anterolateral", 7: "mid anterior", 8: "mid anteroseptal",
    9: "mid inferoseptal", 10: "mid inferior", 11: "mid inferolateral", 12: "mid anterolateral",
    13: "apical anterior", 14: "apical septal", 15: "apical inferior", 16: "apical lateral", 17: "apex",
}  # fmt: skip
LEVELS: tuple[Level, ...] = ("base", "mid", "apex")
CONVENTION = "mean distance from inner to outer contour along rays from the cavity's centre, in the slice's plane"
_MAX_CONVENTION = "95th percentile of the distance from inner to outer contour along rays from the cavity's centre"
_CLOSED = 0.97  # of all directions: only slices with muscle all around belong to a segment (Cerqueira 2002)
_SMALLEST = 0.12  # of the largest slice's cavity: nearer the apex a slice cuts the wall at less than 45 degrees
_UPPER = 95  # percent; the plain maximum of a pixelated wall reads too high

Walls = Mapping[int, tuple[float, float]]  # segment -> (mean, 95th percentile) in mm


def closed_slices(masks: Masks, pixel_mm: tuple[float, float]) -> list[int]:
    """Return the slices with muscle all around a cavity, in the array's order."""
    if masks.wall is None:
        return []
    return [
        z for z in range(len(masks.cavity))
        if masks.cavity[z].any() and ring_share(masks.cavity[z], masks.wall[z], pixel_mm) >= _CLOSED
    ]  # fmt: skip


def levels_of(slices: list[int], *, base_first: bool) -> dict[int, Level]:
    """Return the level of each of ``slices``: thirds of the length from the first to the last, as near as slices allow."""
    ordered = slices if base_first else slices[::-1]
    return {z: LEVELS[min(2, (3 * (2 * i + 1)) // (2 * len(ordered)))] for i, z in enumerate(ordered)}


def segment_of(level: Level, degrees: ArrayLike) -> NDArray[np.int64]:
    """Return the number of the segment at angles from the septum's middle, towards anterior, in degrees.

    The septum's segments, two of 60 degrees at base and mid, one of 90 at the apex, have its middle in their midst; the
    others follow on from anterior over septum and inferior to lateral.
    """
    top, first, count = {"base": (120.0, 1, 6), "mid": (120.0, 7, 6), "apex": (135.0, 13, 4)}[level]
    below_top = (top - np.asarray(degrees, dtype=np.float64)) % 360.0
    return np.asarray(first + np.floor(below_top / (360.0 / count)), dtype=np.int64)


def segment_walls(masks: Masks, orientation: Orientation, pixel_mm: tuple[float, float]) -> Walls:
    """Return mean and 95th percentile of the wall's thickness in mm per segment; those without a slice are left out.

    Levels are thirds of the closed slices; of these, the ones next to the apex cut the wall too obliquely to measure it.
    """
    if masks.wall is None:
        return {}
    slices = closed_slices(masks, pixel_mm)
    levels = levels_of(slices, base_first=orientation.base_first)
    towards_anterior = orientation.turn * (np.degrees(full_circle(RAYS)) - orientation.septum_degrees)
    area = np.count_nonzero(masks.cavity, axis=(1, 2))
    seen: dict[int, list[float]] = {}
    for z in (z for z in slices if area[z] >= _SMALLEST * area.max()):
        thickness = slice_thickness(masks.cavity[z], masks.wall[z], pixel_mm)
        for number, value in zip(segment_of(levels[z], towards_anterior), thickness, strict=True):
            if math.isfinite(value):
                seen.setdefault(int(number), []).append(float(value))
    return {n: (float(np.mean(seen[n])), float(np.percentile(seen[n], _UPPER))) for n in sorted(seen)}


def segments(diastolic: Walls | str, systolic: Walls | str) -> tuple[Segment, ...]:
    """Return all 17 segments from the walls at both phases; text in place of a phase says why it was not measured."""

    def quantity(walls: Walls | str, number: int, which: int) -> Quantity:
        convention = (CONVENTION, _MAX_CONVENTION)[which]
        if number == 17:
            return blank("mm", "the apex cannot be measured in the short axis", convention)
        if isinstance(walls, str):
            return blank("mm", walls, convention)
        if number not in walls:
            return blank("mm", "no slice with muscle all around at this level", convention)
        return known(walls[number][which], "mm", convention)

    found = []
    for number, name in NAMES.items():
        ed, es = quantity(diastolic, number, 0), quantity(systolic, number, 0)
        thickening = derived(lambda a, b: 100.0 * (b - a) / a if a > 0 else math.nan, "%", ed, es,
                             convention="(ES - ED) / ED of the segment's mean thickness")  # fmt: skip
        found.append(
            Segment(number=number, name=name, ed_mm=ed, es_mm=es, thickening_percent=thickening,
                    ed_max_mm=quantity(diastolic, number, 1), es_max_mm=quantity(systolic, number, 1))
        )  # fmt: skip
    return tuple(found)
