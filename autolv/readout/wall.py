"""How thick the wall is, slice by slice, at less than a pixel: along rays from the cavity's centre."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from autolv.readout.masks import Floats, Mask, along_rays, centre_of, full_circle

RAYS = 180
_STEP = 0.25  # of a pixel, between samples along a ray
_BLUR_PIXELS = 0.6  # takes the staircase off a label's border and leaves the border where it is


def slice_thickness(cavity: Mask, wall: Mask, pixel_mm: tuple[float, float]) -> Floats:
    """Return the wall's thickness in mm along ``RAYS`` rays from +x towards +y, from masks (y, x); NaN where undefined."""
    if not cavity.any() or not wall.any():
        return np.full(RAYS, np.nan)
    return map_thickness(_smooth(cavity), _smooth(cavity | wall), pixel_mm)


def map_thickness(inner: NDArray[np.floating], outer: NDArray[np.floating], pixel_mm: tuple[float, float]) -> Floats:
    """Return the distance between the 0.5 contours of two maps (y, x) along ``RAYS`` rays: shape (rays,), in mm.

    ``inner`` is how much (0 to 1) of a pixel, or how probably, is cavity, ``outer`` the same of cavity and wall. What
    lies outside of the image is neither. A ray is NaN where it does not start within the cavity.
    """
    if inner.shape != outer.shape or inner.ndim != 2:
        raise ValueError(f"two maps (y, x) of one shape are needed, got {inner.shape} and {outer.shape}")
    inside = np.asarray(inner) > 0.5
    if not inside.any():
        return np.full(RAYS, np.nan)
    centre, angles = centre_of(inside), full_circle(RAYS)
    longest = math.hypot(inner.shape[0] * pixel_mm[0], inner.shape[1] * pixel_mm[1])
    rows, columns = np.nonzero(np.asarray(outer) > 0.5)
    if rows.size:  # no need to look beyond the furthest pixel
        far = np.hypot((rows - centre[0]) * pixel_mm[0], (columns - centre[1]) * pixel_mm[1]).max()
        longest = min(longest, float(far) + 3 * max(pixel_mm))
    radii = np.arange(0.0, longest, _STEP * min(pixel_mm))
    return _leaves(outer, centre, angles, radii, pixel_mm) - _leaves(inner, centre, angles, radii, pixel_mm)


def _leaves(
    values: NDArray[np.floating], centre: tuple[float, float], angles: Floats, radii: Floats,
    pixel_mm: tuple[float, float],
) -> Floats:  # fmt: skip
    """Return at which radius each ray first falls to 0.5, between samples by linear interpolation; NaN if it never does."""
    seen = along_rays(values, centre, angles, radii, pixel_mm, order=1)
    below = seen < 0.5
    first = below.argmax(axis=1)
    valid = below.any(axis=1) & (first > 0)
    rays, at = np.arange(len(angles)), np.maximum(first, 1)
    before, after = seen[rays, at - 1], seen[rays, at]
    part = (before - 0.5) / np.where(before > after, before - after, 1.0)
    return np.where(valid, radii[at - 1] + part * (radii[1] - radii[0]), np.nan)


def _smooth(mask: Mask) -> Floats:
    return np.asarray(gaussian_filter(mask.astype(np.float64), _BLUR_PIXELS, mode="constant"), dtype=np.float64)
