"""From a file's header to the grid that its voxels lie on, with a word about headers that are not quite right."""

from __future__ import annotations

import functools
import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolv.core.errors import DataError
from autolv.core.geometry import Geometry

_log = logging.getLogger("autolv.imageio.volumes")

_SHEAR_NOISE = 1e-5  # float32 quaternions and six-digit direction cosines stay below this
_SHEAR_STRONG = 0.1  # a rectangular voxel is wrong by more than 10 % of its width
_FLAT = 1e-3  # the box of three unit axes holds less than 0.1 % of a cube: they lie in one plane
_FRAME_MS = (10.0, 120.0)  # cine frames: 20 to 60 ms are usual, these are the bounds of the plausible
_PER_MS = {"msec": 1.0, "sec": 1000.0, "usec": 0.001}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A file as it is stored: its full array shape, its geometry, and the time between frames where it is plausible.

    ``array`` is in the file's order, (i, j, k) or (i, j, k, t); ``None`` if only the header was read.
    """

    shape: tuple[int, ...]
    geometry: Geometry
    frames: int
    frame_time_ms: float | None
    array: NDArray[np.generic] | None = None


def spatial_shape(path: Path, shape: tuple[int, ...]) -> tuple[tuple[int, int, int], int]:
    """Return the spatial shape (i, j, k) and the number of frames of a file's array; raises ``DataError``.

    A 2D array is one slice; a fourth axis is time.
    """
    if not 2 <= len(shape) <= 4 or min(shape) < 1:
        size = " x ".join(str(n) for n in shape)
        raise DataError(
            f"{path}: expected a slice, a volume or a cine (2 to 4 dimensions), got {len(shape)} dimensions ({size}).",
            remedy="Store one channel, with time as the fourth dimension.",
        )
    full = (*shape, 1, 1)[:4]
    return (full[0], full[1], full[2]), full[3]


def checked_geometry(path: Path, affine: NDArray[np.float64], file_shape: tuple[int, int, int]) -> Geometry:
    """Return the geometry of an affine; shear is told, and loudly where it is strong.

    A sheared grid is taken as a rectangular one with the same spacing: volumes come from the spacing alone. Raises
    ``DataError`` where the affine spans no volume: NaN, a spacing of zero, axes in one plane.
    """
    columns = affine[:3, :3]
    spacing = np.linalg.norm(columns, axis=0)
    if not np.isfinite(affine).all() or (spacing <= 0).any():
        raise DataError(
            f"{path}: expected a positive spacing along each axis, got {np.round(spacing, 6).tolist()} mm.",
            remedy="Correct the spacing in the file's header.",
        )
    direction = columns / spacing
    box = abs(float(np.linalg.det(direction)))
    if box < _FLAT:
        raise DataError(
            f"{path}: its three axes lie in one plane (the affine in its header is singular).",
            remedy="Correct the affine in the file's header.",
        )
    shear = float(np.abs(direction.T @ direction - np.eye(3)).max())
    if shear > _SHEAR_STRONG:
        degrees = math.degrees(math.asin(min(1.0, shear)))
        warn(path, f"its axes are {degrees:.1f} degrees from perpendicular (shear {shear:.3g}); it is taken as a "
             f"rectangular grid of {' x '.join(f'{mm:.4g}' for mm in spacing)} mm, on which volumes are "
             f"{100 * (1 / box - 1):.1f} % larger and lengths across the lean are wrong. Resample the image to "
             f"perpendicular axes, or correct the affine in its header.")  # fmt: skip
    elif shear > _SHEAR_NOISE:
        warn(path, f"its axes are not quite perpendicular (shear {shear:.2g}); it is taken as a rectangular grid.")
    return Geometry.from_affine(affine, file_shape)


def frame_time_ms(step: float, unit: str, frames: int) -> float | None:
    """Return the time between frames in ms if ``step`` (in ``unit``: sec, msec, usec or unknown) is plausible.

    Many cine files carry a step of 1 or 0, or the wrong unit; such a step gives ``None``. Where the unit is unknown,
    10 to 120 is taken as ms and 0.01 to 0.12 as s.
    """
    low, high = _FRAME_MS
    if frames < 2 or not math.isfinite(step):
        return None
    for factor in (_PER_MS[unit],) if unit in _PER_MS else (1.0, 1000.0):
        if low * (1 - 1e-6) <= step * factor <= high * (1 + 1e-6):
            return round(float(step * factor), 4)  # the file holds seven digits
    return None


@functools.lru_cache(maxsize=4096)
def warn(path: Path, message: str) -> None:
    """Log a warning about a file, once per process however often the file is read."""
    _log.warning("%s: %s", path, message)
