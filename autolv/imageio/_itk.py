"""NRRD and MetaImage through SimpleITK, whose world is LPS and whose arrays are reversed; neither leaves this file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from autolv.core.errors import DataError
from autolv.imageio._grid import Stored, checked_geometry, frame_time_ms, spatial_shape

sitk: Any = SimpleITK  # its functions carry no types
ERRORS = (RuntimeError, OSError, ValueError)
_LPS = np.diag([-1.0, -1.0, 1.0])  # between LPS and RAS: its own inverse


def read(path: Path) -> Stored:
    """Return the whole file. Raises one of ``ERRORS`` if it cannot be read."""
    described = describe(path)
    image = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(image).transpose()  # (t, k, j, i) to (i, j, k, t)
    spatial = described.geometry.file_shape
    shape = spatial if described.frames == 1 else (*spatial, described.frames)
    return Stored(
        shape=described.shape,
        geometry=described.geometry,
        frames=described.frames,
        frame_time_ms=described.frame_time_ms,
        array=array.reshape(shape),
    )


def describe(path: Path) -> Stored:
    """Return what the header says, without the voxels. Raises one of ``ERRORS`` if it cannot be read."""
    header = sitk.ImageFileReader()
    header.SetFileName(str(path))
    header.ReadImageInformation()
    components = header.GetNumberOfComponents()
    if components != 1 or "complex" in sitk.GetPixelIDValueAsString(header.GetPixelIDValue()):
        raise DataError(
            f"{path}: expected one real number per voxel, got {components} channels of "
            f"{sitk.GetPixelIDValueAsString(header.GetPixelIDValue())}.",
            remedy="Store one channel of grey values; time is the fourth dimension, not a channel.",
        )
    size = tuple(int(n) for n in header.GetSize())
    spatial, frames = spatial_shape(path, size)
    ndim = len(size)
    direction = np.array(header.GetDirection(), dtype=np.float64).reshape(ndim, ndim)
    affine = _ras_affine(direction, np.array(header.GetSpacing()), np.array(header.GetOrigin()))
    geometry = checked_geometry(path, affine, spatial)
    step = frame_time_ms(float(header.GetSpacing()[3]), "unknown", frames) if ndim == 4 else None
    return Stored(shape=size, geometry=geometry, frames=frames, frame_time_ms=step)


def write_like(path: Path, array: NDArray[np.uint8], like: Path) -> None:
    """Write ``array`` (i, j, k[, t]) with spacing, origin and direction of ``like``, an NRRD or MetaImage file."""
    header = sitk.ImageFileReader()
    header.SetFileName(str(like))
    header.ReadImageInformation()
    size = tuple(int(n) for n in header.GetSize())
    _, frames = spatial_shape(like, size)
    one_frame_of_a_cine = array.ndim == 3 and frames > 1
    kept = 3 if one_frame_of_a_cine else len(size)
    image = _to_sitk(array.reshape((*size[:3], array.shape[3]) if array.ndim == 4 else size[:kept]))
    image.SetSpacing(header.GetSpacing()[:kept])
    image.SetOrigin(header.GetOrigin()[:kept])
    direction = np.array(header.GetDirection()).reshape(len(size), len(size))[:kept, :kept]
    image.SetDirection(tuple(float(v) for v in direction.ravel()))
    _save(path, image)


def write_new(path: Path, array: NDArray[np.generic], affine: NDArray[np.float64], step_ms: float | None) -> None:
    """Write ``array`` (i, j, k[, t]) on the grid of a RAS ``affine``; the spacing along time is in ms."""
    ndim = array.ndim
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    direction, origin = np.eye(ndim), np.zeros(ndim)
    direction[:3, :3] = _LPS @ (affine[:3, :3] / spacing)
    origin[:3] = _LPS @ affine[:3, 3]
    steps = spacing.tolist() + ([1.0 if step_ms is None else step_ms] if ndim == 4 else [])
    image = _to_sitk(array)
    image.SetSpacing(steps)
    image.SetOrigin(origin.tolist())
    image.SetDirection(direction.ravel().tolist())
    _save(path, image)


def _to_sitk(array: NDArray[np.generic]) -> Any:
    return sitk.GetImageFromArray(np.ascontiguousarray(array.transpose()), isVector=False)


def _ras_affine(
    direction: NDArray[np.float64], spacing: NDArray[np.float64], origin: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the (4, 4) RAS affine of an ITK geometry of 2 to 4 dimensions; a missing slice axis is 1 mm thick."""
    kept = min(3, len(spacing))
    columns, offset = np.eye(3), np.zeros(3)
    columns[:kept, :kept] = direction[:kept, :kept] * spacing[:kept]
    offset[:kept] = origin[:kept]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = _LPS @ columns, _LPS @ offset
    return affine


def _save(path: Path, image: Any) -> None:
    """Write all files of an image in a folder beside ``path``, then move them into place, the header last."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".autolv_", dir=path.parent) as folder:
        sitk.WriteImage(image, str(Path(folder) / path.name), useCompression=True)
        for part in sorted(Path(folder).iterdir(), key=lambda p: p.name == path.name):
            part.replace(path.parent / part.name)
