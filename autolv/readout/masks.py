"""One frame's structures as masks, and the rays from a slice's cavity that several measures look along."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Masks:
    """Masks (z, y, x) of one frame; ``wall`` and ``rv`` are ``None`` where the structure was not segmented at all."""

    cavity: Mask
    wall: Mask | None
    rv: Mask | None

    @property
    def lv(self) -> Mask:
        """Cavity and wall."""
        return self.cavity if self.wall is None else self.cavity | self.wall


def masks_of(labels: NDArray[np.integer], structures: Sequence[str]) -> Masks:
    """Return the masks of ``labels``, shape (z, y, x) with 0 and 1 + the position in ``structures``."""

    def mask(name: str) -> Mask | None:
        return labels == structures.index(name) + 1 if name in structures else None

    cavity = mask(LV_CAVITY)
    if cavity is None or labels.ndim != 3:
        raise ValueError(f"labels (z, y, x) with {LV_CAVITY} are needed, got shape {labels.shape} of {structures}")
    return Masks(cavity=cavity, wall=mask(LV_MYOCARDIUM), rv=mask(RV_CAVITY))


def centre_of(mask: NDArray[np.generic]) -> tuple[float, float]:
    """Return the centroid (y, x) in voxels of a mask or map of shape (y, x) that is not empty."""
    weights = np.asarray(mask, dtype=np.float64)
    total = weights.sum()
    if total <= 0:
        raise ValueError("an empty mask has no centre")
    y, x = weights.sum(axis=1), weights.sum(axis=0)
    return float(y @ np.arange(len(y)) / total), float(x @ np.arange(len(x)) / total)


def along_rays(
    values: NDArray[np.generic], centre: tuple[float, float], angles_rad: Floats, radii_mm: Floats,
    pixel_mm: tuple[float, float], *, order: Literal[0, 1] = 0,
) -> Floats:  # fmt: skip
    """Return ``values`` (y, x) at ``radii_mm`` along rays from ``centre`` (y, x in voxels): shape (angles, radii), 0 outside.

    Angles run from +x towards +y. ``order`` 0 takes the nearest voxel, 1 interpolates between them.
    """
    y = centre[0] + np.sin(angles_rad)[:, None] * radii_mm / pixel_mm[0]
    x = centre[1] + np.cos(angles_rad)[:, None] * radii_mm / pixel_mm[1]
    image = np.asarray(values, dtype=np.float64)
    return map_coordinates(image, np.stack([y, x]), np.float64, order=order, mode="constant", cval=0.0)


def begins_beyond(inner: Mask, outer: Mask, centre: tuple[float, float], rays: int, reach: float,
                  pixel_mm: tuple[float, float]) -> Mask:  # fmt: skip
    """Return along which of the ``rays`` from ``centre`` ``outer`` lies within ``reach`` mm beyond ``inner``'s last point.

    Masks are (y, x); the result has shape (rays,).
    """
    step, angles = 0.5 * min(pixel_mm), full_circle(rays)
    radii = np.arange(0.0, reach_mm(inner, pixel_mm) + reach + step, step)
    inside = along_rays(inner, centre, angles, radii, pixel_mm) > 0
    sought = along_rays(outer, centre, angles, radii, pixel_mm) > 0
    last = np.where(inside.any(axis=1), inside.shape[1] - 1 - inside[:, ::-1].argmax(axis=1), 0)  # (rays,)
    beyond = radii[None, :] - radii[last][:, None]
    return np.asarray((sought & (beyond > 0) & (beyond <= reach)).any(axis=1))


def full_circle(rays: int) -> Floats:
    """Return the angles of ``rays`` rays, evenly over 0 to 2 pi."""
    return np.arange(rays, dtype=np.float64) * (2 * math.pi / rays)


def reach_mm(mask: Mask, pixel_mm: tuple[float, float]) -> float:
    """Return a length in mm that no ray within the mask's bounding box exceeds."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return 0.0
    return math.hypot((rows[-1] - rows[0] + 2) * pixel_mm[0], (columns[-1] - columns[0] + 2) * pixel_mm[1])
