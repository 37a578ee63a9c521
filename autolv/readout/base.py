"""Where the ventricle ends at the base: as segmented, by how much of a ring the muscle makes, or at a valve plane given.

The end at the base changes the ejection fraction more than any contour does (Marcus 1999).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Spacing
from autolv.readout.masks import Floats, Mask, Masks, begins_beyond, centre_of

RING = 0.5  # of all directions, what the rule is called after
_RAYS = 120
_TOUCHING_MM = 3.0  # how far beyond the cavity muscle may begin and still count as its wall
_WHOLE = 0.55  # part of a slice below the plane, everywhere in the LV, from which its own label is taken: a majority
_STEEPEST = math.cos(math.radians(45))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """A plane in array coordinates, (z, y, x) in mm from the centre of voxel (0, 0, 0); the normal has length 1."""

    point_mm: tuple[float, float, float]
    normal: tuple[float, float, float]


def plane_of(point_mm: tuple[float, float, float], normal: tuple[float, float, float]) -> Plane:
    """Return the plane through a point; the normal may have any length but 0, and either sense."""
    length = math.hypot(*normal)
    if not (length > 0 and math.isfinite(length)):
        raise ValueError(f"a plane's normal needs a length, got {normal}")
    return Plane(point_mm=point_mm, normal=(normal[0] / length, normal[1] / length, normal[2] / length))


def plane_of_points(first_mm: tuple[float, float, float], second_mm: tuple[float, float, float]) -> Plane:
    """Return the plane through two points of the mitral annulus that lies as square to the stack's axis as it can."""
    along = np.subtract(second_mm, first_mm)
    length = float(np.linalg.norm(along))
    if not length > 0:
        raise ValueError("the two mitral points are the same")
    along = along / length
    normal = np.array([1.0, 0.0, 0.0]) - along[0] * along
    middle = np.add(first_mm, second_mm) / 2
    return plane_of(_triple(middle), _triple(normal))


def ring_share(cavity: Mask, wall: Mask | None, pixel_mm: tuple[float, float]) -> float:
    """Return in what part of all directions muscle bounds a slice's cavity; NaN where there is no cavity or no wall label.

    Masks are (y, x). Directions are rays from the cavity's centre; muscle must begin within 3 mm of its last point.
    """
    if wall is None or not cavity.any():
        return math.nan
    return float(begins_beyond(cavity, wall, centre_of(cavity), _RAYS, _TOUCHING_MM, pixel_mm).mean())


def ring_rule(masks: Masks, ring: Floats, *, base_first: bool) -> Mask:
    """Return which slices' cavity counts by the rule ``ring50``, given each slice's ``ring_share``: shape (z,).

    From the base on, slices are left out until the first whose cavity has muscle in half of all directions.
    """
    counted = np.ones(len(masks.cavity), dtype=np.bool_)
    order = range(len(counted)) if base_first else range(len(counted) - 1, -1, -1)
    for index in order:
        if masks.cavity[index].any():
            if ring[index] >= RING:
                break
            counted[index] = False
    return counted


def to_plane(masks: Masks, plane: Plane, spacing_mm: Spacing, *, base_first: bool) -> tuple[Masks, Floats]:
    """Return the LV reaching up to ``plane``, and which part (0 to 1) of each voxel lies on the apex's side of it.

    Both have one slice more at either end of the stack. A slice that the plane cuts below its middle anywhere in the LV has
    no whole label; that of the next slice towards the apex is continued to the plane. Raises ``ValueError`` for a plane
    steeper than 45 degrees to the slices, and for one more than a slice above the labels, where nothing is known.
    """
    if abs(plane.normal[0]) < _STEEPEST:
        raise ValueError("the valve plane is steeper than 45 degrees to the slices")
    slices = np.flatnonzero(masks.lv.any(axis=(1, 2)))
    if not slices.size:
        raise ValueError("there is no left ventricle to end at the valve plane")
    centre = tuple(round(c) for c in centre_of(masks.lv[slices[0] if base_first else slices[-1]]))
    cavity, wall = _longer(masks.cavity), None if masks.wall is None else _longer(masks.wall)
    rv = None if masks.rv is None else _longer(masks.rv)
    shares = _apical_shares(plane, cavity.shape, spacing_mm, base_first=base_first)
    towards_apex = 1 if base_first else -1
    further = int(slices[0] if base_first else slices[-1]) + 1 - towards_apex
    if shares[(further, *centre)] >= 1.0:
        raise ValueError("the valve plane lies more than one slice above the last slice in which the LV is segmented")
    for index in range(further + towards_apex * len(slices), further - towards_apex, -towards_apex):
        next_lv = _union(cavity, wall, None)[index + towards_apex]
        if next_lv.any() and shares[index][next_lv].min() < _WHOLE:
            free = np.ones_like(next_lv) if rv is None else ~rv[index]
            for mask in (cavity,) if wall is None else (cavity, wall):
                mask[index] = mask[index + towards_apex] & free
    return Masks(cavity=cavity, wall=wall, rv=None), shares


def _apical_shares(plane: Plane, shape: tuple[int, ...], spacing_mm: Spacing, *, base_first: bool) -> Floats:
    """Return the part of each voxel of the longer stack on the apex's side: the plane cuts each column at one height."""
    dz, dy, dx = spacing_mm
    nz, ny, nx = plane.normal
    y = np.arange(shape[1])[:, None] * dy - plane.point_mm[1]
    x = np.arange(shape[2])[None, :] * dx - plane.point_mm[2]
    height = plane.point_mm[0] - (ny * y + nx * x) / nz  # (y, x), in mm along the stack
    z = (np.arange(shape[0]) - 1)[:, None, None] * dz
    above = (z + dz / 2 - height) if base_first else (height - z + dz / 2)
    shares: Floats = np.clip(above / dz, 0.0, 1.0)
    return shares


def _union(cavity: Mask, wall: Mask | None, rv: Mask | None) -> Mask:
    union = cavity.copy()
    for mask in (wall, rv):
        if mask is not None:
            union |= mask
    return union


def _longer(mask: Mask) -> Mask:
    return np.pad(mask, ((1, 1), (0, 0), (0, 0)))


def _triple(values: NDArray[np.floating]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
