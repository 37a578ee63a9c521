"""How the heart lies in the array: where the right ventricle meets the left, and in which sense anterior follows.

The angle of the segments comes from the right ventricle's insertions (Cerqueira 2002), not from the patient's axes, which
many files do not carry.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Geometry
from autolv.readout.masks import Floats, Mask, Masks, begins_beyond, centre_of
from autolv.schema.readout import Flag, Orientation

Turn = Literal[1, -1]
_RAYS = 360
_TOUCHING_MM = 4.0  # how far the right ventricle's label may begin from the left one's: its wall is labelled by no one
_CLOSED_RAYS = 12  # gaps in the contact that are bridged
_ARC_DEGREES = (30.0, 220.0)  # of contact, outside of which a slice does not show two insertions
_OBLIQUE = math.cos(math.radians(5))  # a short-axis stack is at least this far from the body's axes
_SEEN_FROM_APEX = "images taken as seen from the apex, as is the custom (the file does not tell the patient's axes)"
_BY_WORLD = "patient axes of the file: the anterior wall looks forward and upward"


def insertions(masks: Masks, index: int, pixel_mm: tuple[float, float]) -> tuple[float, float] | None:
    """Return the angles in degrees between which the RV touches the LV in slice ``index``: from the first, with +x to +y.

    ``None`` where there is no contact that has two ends.
    """
    if masks.rv is None or not masks.rv[index].any() or not masks.cavity[index].any():
        return None
    centre = centre_of(masks.cavity[index])
    touching = begins_beyond(masks.lv[index], masks.rv[index], centre, _RAYS, _TOUCHING_MM, pixel_mm)
    arc = _longest_arc(_bridged(touching))
    if arc is None or not _ARC_DEGREES[0] <= arc[1] - arc[0] <= _ARC_DEGREES[1]:
        return None
    return arc


def orient(masks: Masks, geometry: Geometry, *, base_first: bool) -> tuple[Orientation, tuple[Flag, ...]] | None:
    """Return how the heart lies, and a flag where the file's axes contradict its anatomy; ``None`` without RV insertions.

    The insertions are circular means over the middle third of the slices with LV, or, where none there shows them, over all.
    """
    slices = np.flatnonzero(masks.lv.any(axis=(1, 2)))
    third = len(slices) / 3
    middle = [int(z) for i, z in enumerate(slices) if third <= i + 0.5 <= 2 * third]
    pixel_mm = geometry.spacing_mm[1:]
    for chosen in (middle, [int(z) for z in slices]):
        found = [arc for z in chosen if (arc := insertions(masks, z, pixel_mm)) is not None]
        if found:
            break
    else:
        return None
    start, end = (circular_mean_degrees([arc[side] for arc in found]) for side in (0, 1))
    septum = (start + ((end - start) % 360.0) / 2) % 360.0
    turn, rule, flags = turn_of(geometry, septum, base_first=base_first)
    anterior, inferior = (end, start) if turn == 1 else (start, end)
    return Orientation(
        base_first=base_first, septum_degrees=septum, anterior_insertion_degrees=anterior,
        inferior_insertion_degrees=inferior, turn=turn, turn_rule=rule,
    ), flags  # fmt: skip


def turn_of(geometry: Geometry, septum_degrees: float, *, base_first: bool) -> tuple[Turn, str, tuple[Flag, ...]]:
    """Return in which sense anterior follows the septum (+1: from +x to +y), how that is known, and what contradicts it.

    Where the stack is oblique, its axes are the patient's: the anterior wall looks forward and upward, whatever the order
    of slices. That is checked by handedness: seen from the apex, anterior follows the septum clockwise. Where the axes are
    those of the scanner's box, the images are taken as seen from the apex.
    """
    z, y, x = world_axes(geometry)
    if float(np.abs(z).max()) > _OBLIQUE:
        return 1, _SEEN_FROM_APEX, ()
    angle = math.radians(septum_degrees)
    across = -math.sin(angle) * x + math.cos(angle) * y  # a quarter turn from +x to +y after the septum
    forward_and_up = float(across @ np.array([0.0, 1.0, 1.0]))
    turn: Turn = 1 if forward_and_up >= 0 else -1
    septal = math.cos(angle) * x + math.sin(angle) * y
    to_base = -z if base_first else z
    if turn * float(np.cross(to_base, septal) @ across) >= 0:
        return turn, _BY_WORLD, ()
    message = "The file's axes mirror the heart: its slices run against the order that the patient's axes tell."
    return turn, _BY_WORLD, (Flag(check="handedness", message=message),)


def world_axes(geometry: Geometry) -> tuple[Floats, Floats, Floats]:
    """Return the directions (unit vectors, RAS+) of the array's z, y and x axes."""
    affine = np.array(geometry.affine, dtype=np.float64)
    axes = []
    for axis, flip in zip(geometry.axes, geometry.flips, strict=True):
        column = affine[:3, axis]
        axes.append(column / np.linalg.norm(column) * (-1.0 if flip else 1.0))
    return axes[0], axes[1], axes[2]


def in_array_mm(geometry: Geometry, world_mm: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return a place in world coordinates (RAS+, mm) as (z, y, x) in mm from the centre of voxel (0, 0, 0) of the array."""
    file_voxel = np.linalg.solve(np.array(geometry.affine), np.array([*world_mm, 1.0]))[:3]
    z, y, x = (
        (geometry.file_shape[axis] - 1 - file_voxel[axis] if flip else file_voxel[axis]) * step
        for axis, flip, step in zip(geometry.axes, geometry.flips, geometry.spacing_mm, strict=True)
    )
    return float(z), float(y), float(x)


def circular_mean_degrees(angles: list[float]) -> float:
    """Return the mean direction of angles in degrees, in 0 to 360."""
    mean = math.degrees(float(np.angle(np.exp(1j * np.radians(angles)).mean()))) % 360.0
    return mean % 360.0  # a tiny negative angle has become 360


def _bridged(touching: Mask) -> Mask:
    """Return the contact with gaps of up to ``_CLOSED_RAYS`` rays bridged, around the circle."""
    bridged = touching.copy()
    for start, length in _runs(~touching):
        if length <= _CLOSED_RAYS and length < len(touching):
            bridged[(start + np.arange(length)) % len(touching)] = True
    return bridged


def _longest_arc(touching: Mask) -> tuple[float, float] | None:
    """Return the first and last angle, in degrees, of the longest contact; the last may exceed 360."""
    runs = _runs(touching)
    if not runs or touching.all():
        return None
    start, length = max(runs, key=lambda run: run[1])
    degrees = 360.0 / len(touching)
    return start * degrees, (start + length - 1) * degrees


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return (start, length) of each run of ``True`` around the circle."""
    if flags.all():
        return [(0, len(flags))]
    starts = np.flatnonzero(flags & ~np.roll(flags, 1))
    ends = np.flatnonzero(flags & ~np.roll(flags, -1))
    return [(int(s), int((ends - s)[((ends - s) % len(flags)).argmin()] % len(flags)) + 1) for s in starts]
