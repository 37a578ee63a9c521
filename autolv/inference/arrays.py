"""Arrays without a file: which layouts are taken, on which grid they lie, and labels in the layout that came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autolv.core.geometry import Geometry, Spacing, Volume

_LAYOUT = "expected (z, y, x) for a frame, (t, z, y, x) for a cine or (y, x) for a slice"
_FILE_LAYOUT = "expected, with an affine, (i, j, k) for a frame, (i, j, k, t) for a cine or (i, j) for a slice"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """``labels``: uint8 channel numbers (0 background, 1 + position in the model's structures), shaped as the image.

    ``probabilities``, where asked for: float16 (classes, z, y, x), or (t, classes, z, y, x) for a cine, before
    post-processing; of an array with an affine (classes, i, j, k), or (classes, i, j, k, t). ``changed_voxels`` counts,
    per post-processing step, the voxels it changed, over all frames. ``expected_dice``, where the model tells it: per frame
    the Dice that is expected of each structure that was found.
    """

    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float16] | None
    changed_voxels: tuple[int, ...]
    expected_dice: tuple[dict[str, float], ...] | None = None


def volume_of(array: NDArray[np.generic], spacing_mm: Spacing | None, affine: ArrayLike | None) -> Volume:
    """Return an array on its grid, which either ``spacing_mm`` or ``affine`` says; raises ``ValueError`` for others."""
    if (spacing_mm is None) == (affine is None):
        raise ValueError(
            "expected either spacing_mm, three positive numbers (z, y, x), or affine, a (4, 4) matrix, "
            f"got {'neither' if affine is None else 'both'}"
        )
    layout = _LAYOUT if affine is None else _FILE_LAYOUT
    if array.ndim not in (2, 3, 4) or 0 in array.shape or array.dtype.kind not in "uif":
        raise ValueError(f"{layout}, of numbers, got shape {array.shape} and type {array.dtype}")
    if affine is not None:
        stack = array[..., None] if array.ndim == 2 else array
        stack = stack[..., 0] if stack.ndim == 4 and stack.shape[3] == 1 else stack  # one frame, as in files
        geometry = Geometry.from_affine(np.asarray(affine, dtype=np.float64), stack.shape[:3])
        return Volume(array=geometry.to_canonical(stack), geometry=geometry)
    if spacing_mm is None or len(spacing_mm) != 3 or not all(0 < s < np.inf for s in spacing_mm):
        raise ValueError(f"expected spacing_mm as three positive numbers (z, y, x), got {spacing_mm}")
    stack = array[None] if array.ndim == 2 else array
    return Volume(array=stack, geometry=_plain_geometry(spacing_mm, stack.shape[-3:]))


def laid_out_as(array: NDArray[np.generic], found: Prediction, geometry: Geometry | None) -> Prediction:
    """Return what was found for the volume of ``array`` in its layout, that of files if it came with an affine.

    ``geometry`` is the volume's, ``None`` for an array that came with a spacing.
    """
    labels, kept = found.labels, found.probabilities
    if geometry is None:
        labels = labels.reshape(array.shape)
        kept = kept if kept is None or array.ndim > 2 else kept[:, 0]
    else:
        labels = np.ascontiguousarray(geometry.to_file(labels), dtype=np.uint8).reshape(array.shape)
        if kept is not None:
            by_class = kept.swapaxes(0, 1) if kept.ndim == 5 else kept  # (classes, [t,] z, y, x)
            in_file = np.stack([geometry.to_file(one) for one in by_class]).astype(np.float16, copy=False)
            kept = in_file.reshape((len(in_file), *array.shape))
    return replace(found, labels=labels, probabilities=kept)


def _plain_geometry(spacing_mm: Spacing, shape: Sequence[int]) -> Geometry:
    """Return the geometry of an array that is (z, y, x) whatever its spacing: no axis is guessed."""
    dz, dy, dx = (float(s) for s in spacing_mm)
    affine = ((dx, 0.0, 0.0, 0.0), (0.0, dy, 0.0, 0.0), (0.0, 0.0, dz, 0.0), (0.0, 0.0, 0.0, 1.0))
    file_shape = (int(shape[2]), int(shape[1]), int(shape[0]))
    return Geometry(affine=affine, file_shape=file_shape, axes=(2, 1, 0), flips=(False, False, False))
