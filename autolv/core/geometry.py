"""The axis convention, stated once: arrays are (z, y, x), cines (t, z, y, x).

``z`` is the slice axis: the axis of the file's array with the largest spacing (the last one among equals, which is the
slice axis of NIfTI files), or the axis of size one where just one is. ``y`` and ``x`` are the two in-plane axes, ordered
and flipped so that images with the same world geometry get the same array whatever the order in which their file stores
it: of the two in-plane axes the one that runs more along the world's left-right direction is ``x``, and each axis runs
towards its positive dominant world direction (RAS+). A short-axis stack is oblique, so choosing all three axes by the
nearest world axis would put the slice axis in different places for different patients; the slice axis therefore comes
first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Triple = tuple[int, int, int]
Spacing = tuple[float, float, float]


def slice_number(index: int, count: int, *, backwards: bool) -> int:
    """Return the number in its file, from 1, of slice ``index`` (0-based) of ``count`` in the array.

    ``backwards``: the file counts them from the array's other end (``Geometry.slices_reversed``).
    """
    return count - index if backwards else index + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Where a volume's voxels lie, and how its (z, y, x) array is got from the file's (i, j, k) array.

    ``affine`` maps the file's voxel indices (i, j, k, 1) to world millimetres (RAS+). ``axes`` names, for z, y and x in
    turn, the file's axis; ``flips`` says which of them run backwards in the file. ``file_shape`` is the file's spatial
    shape (i, j, k).
    """

    affine: tuple[tuple[float, ...], ...]
    file_shape: Triple
    axes: Triple
    flips: tuple[bool, bool, bool]

    @classmethod
    def from_affine(cls, affine: NDArray[np.floating], file_shape: tuple[int, ...]) -> Geometry:
        """Return the geometry of a file's array from its (4, 4) affine and spatial shape (i, j, k)."""
        matrix = np.asarray(affine, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise ValueError(f"affine must be a finite (4, 4) matrix, got shape {matrix.shape}")
        if len(file_shape) != 3:
            raise ValueError(f"file_shape must have three entries, got {file_shape}")
        columns = matrix[:3, :3]
        spacing = np.linalg.norm(columns, axis=0)
        if (spacing <= 0).any():
            raise ValueError(f"each axis needs a positive spacing, got {spacing.tolist()} mm")
        # the last of the largest (to 0.1 %, so that rounding does not decide) is the slice axis
        slice_axis = max(i for i in range(3) if spacing[i] >= spacing.max() * 0.999)
        single = [i for i in range(3) if file_shape[i] == 1]
        if len(single) == 1:  # one slice, whose stated thickness says nothing about which axis it is
            slice_axis = single[0]
        first, second = (i for i in range(3) if i != slice_axis)
        direction = columns / spacing
        # compare both assignments as a whole: x should run along left-right, or, where the stack is seen from the
        # side, whatever is left of it; a tie goes to the file's own order
        as_stored = abs(direction[0, first]) >= abs(direction[0, second]) - 1e-6
        x_axis, y_axis = (first, second) if as_stored else (second, first)
        axes = (slice_axis, y_axis, x_axis)
        flips = tuple(bool(direction[int(np.argmax(np.abs(direction[:, a]))), a] < 0) for a in axes)
        return cls(
            affine=tuple(tuple(float(v) for v in row) for row in matrix),
            file_shape=(int(file_shape[0]), int(file_shape[1]), int(file_shape[2])),
            axes=axes,
            flips=(flips[0], flips[1], flips[2]),
        )

    @classmethod
    def from_spacing(cls, spacing_mm: Spacing, shape: Triple) -> Geometry:
        """Return an axis-aligned geometry for a (z, y, x) array stored in a file as (x, y, z)."""
        dz, dy, dx = spacing_mm
        return cls.from_affine(np.diag([dx, dy, dz, 1.0]), shape[::-1])

    @property
    def spacing_mm(self) -> Spacing:
        """Spacing along (z, y, x): the norms of the affine's columns, so gaps between slices are included."""
        z, y, x = (math.sqrt(sum(self.affine[r][a] ** 2 for r in range(3))) for a in self.axes)
        return z, y, x

    @property
    def shape(self) -> Triple:
        """Shape of the (z, y, x) array."""
        z, y, x = (self.file_shape[a] for a in self.axes)
        return z, y, x

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres, from the three spatial spacings only."""
        return math.prod(self.spacing_mm) / 1000.0  # 1 ml = 1000 mm³

    @property
    def slices_reversed(self) -> bool:
        """Whether the file counts its slices from the array's other end."""
        return self.flips[0]

    def to_canonical(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the file's array (i, j, k) as (z, y, x); a fourth, last file axis becomes t in (t, z, y, x)."""
        if array.shape[:3] != self.file_shape or array.ndim not in (3, 4):
            raise ValueError(f"expected the file's array of shape {self.file_shape} (+ time), got {array.shape}")
        order = self.axes if array.ndim == 3 else (3, *self.axes)
        return np.flip(array.transpose(order), axis=self._flip_axes(array.ndim))

    def to_file(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return a (z, y, x) or (t, z, y, x) array in the file's own axis order: the inverse of ``to_canonical``."""
        if array.shape[-3:] != self.shape or array.ndim not in (3, 4):
            raise ValueError(f"expected (z, y, x) = {self.shape}, with or without time before, got {array.shape}")
        flipped = np.flip(array, axis=self._flip_axes(array.ndim))
        order = self.axes if array.ndim == 3 else (3, *self.axes)
        return flipped.transpose(np.argsort(order))

    def _flip_axes(self, ndim: int) -> tuple[int, ...]:
        return tuple(i + ndim - 3 for i, flip in enumerate(self.flips) if flip)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """An image or label array on its grid: (z, y, x), or (t, z, y, x) for a cine.

    ``frame_time_ms`` is the time between frames where the file gives a plausible one (10 to 120 ms), else ``None``.
    """

    array: NDArray[np.generic]
    geometry: Geometry
    frame_time_ms: float | None = None

    def __post_init__(self) -> None:
        if self.array.ndim not in (3, 4) or self.array.shape[-3:] != self.geometry.shape:
            raise ValueError(
                f"array must be (z, y, x) = {self.geometry.shape}, with or without time before, got {self.array.shape}"
            )

    @property
    def is_cine(self) -> bool:
        """Whether the array has a time axis."""
        return self.array.ndim == 4

    @property
    def spacing_mm(self) -> Spacing:
        """Spacing along (z, y, x) in millimetres."""
        return self.geometry.spacing_mm

    def frame(self, index: int) -> Volume:
        """Return frame ``index`` (0-based) of a cine as a (z, y, x) volume."""
        if not self.is_cine:
            raise ValueError("only a cine (t, z, y, x) has frames")
        return Volume(array=self.array[index], geometry=self.geometry)
