"""Image and label files to ``Volume`` and back. Axis order stays in here: everyone else sees (z, y, x)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from autolv.core.errors import DataError
from autolv.core.geometry import Geometry, Volume
from autolv.imageio import _nifti, _nifti_write
from autolv.imageio._grid import Stored

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
_NIFTI = (".nii.gz", ".nii")
_INTEGER_TOLERANCE = 1e-3  # what a scale factor's rounding can do to a code up to 255


def split_ending(name: str) -> tuple[str, str]:
    """Return a file's name as (stem, ending): ``"a.b.nii.gz"`` gives ``("a.b", ".nii.gz")``; ``""`` if unknown."""
    for ending in ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)], name[-len(ending) :]
    return name, ""


def read_image(path: Path) -> Volume:
    """Return an image as float32, (z, y, x), or (t, z, y, x) for a cine, in its canonical axis order.

    A 2D file is one slice; a fourth dimension of size 1 is dropped; NaN stays NaN. Raises ``DataError`` if the file
    cannot be read, has five dimensions, more than one channel, or axes that span no volume.
    """
    stored = _read(path)
    return _volume(stored, _array(stored), np.float32)


def read_labels(path: Path) -> Volume:
    """Return a label map as uint8, (z, y, x) or (t, z, y, x), in its canonical axis order, with the file's codes.

    Integers stored as floating point or with a scale factor are taken. Raises ``DataError`` for NaN, for values that
    are no integers, and for integers below 0 or above 255, with the number of their voxels.
    """
    stored = _read(path)
    return _volume(stored, _as_codes(path, _array(stored)))


def read_geometry(path: Path) -> tuple[Geometry, int]:
    """Return the geometry and the number of frames (1 for a single volume) from the header alone."""
    stored = _read(path, header_only=True)
    return stored.geometry, stored.frames


def data_files(path: Path) -> tuple[Path, ...]:
    """Return the files that together hold an image: a MetaImage header (.mhd) names a second one with the voxels."""
    if split_ending(path.name)[1].lower() != ".mhd":
        return (path,)
    for line in path.read_text(encoding="latin-1").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "ElementDataFile" and (path.parent / value.strip()).is_file():
            return path, path.parent / value.strip()
    return (path,)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of an image's content; raises ``DataError`` if it cannot be read.

    Names and dates do not count. Of an image in two files it is that of both files' hashes.
    """
    try:
        found = []
        for part in data_files(path):
            with part.open("rb") as file:
                found.append(hashlib.file_digest(file, "sha256"))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}).", remedy="Check the path and its permissions.") from error
    if len(found) == 1:
        return found[0].hexdigest()
    return hashlib.sha256(b"".join(one.digest() for one in found)).hexdigest()


def write_labels(path: Path, array: NDArray[np.generic], *, like: Path, some_frames: bool = False) -> None:
    """Write labels (z, y, x) or (t, z, y, x) on the grid of the file ``like``, as uint8 without scaling.

    Within one format the header's orientation, spacing and units are copied as they stand; between NIfTI and
    NRRD/MetaImage they are converted. A (z, y, x) array beside a cine ``like`` makes a 3D file; fewer frames than the
    cine has are taken as ``some_frames`` of it alone. The file is written whole or not at all, and equal input gives equal
    bytes.
    """
    codes = np.asarray(array)
    if codes.size and (codes.min() < 0 or codes.max() > 255 or not np.array_equal(codes, codes.astype(np.uint8))):
        raise ValueError("labels must be integers from 0 to 255")
    header = _read(like, header_only=True)
    in_file = header.geometry.to_file(codes.astype(np.uint8)).astype(np.uint8, copy=False)
    if in_file.ndim == 4 and in_file.shape[3] != header.frames and not some_frames:
        raise ValueError(f"labels have {in_file.shape[3]} frames, {like} has {header.frames}")
    nifti = is_nifti(path)
    if nifti == is_nifti(like):
        (_nifti_write.write_like if nifti else _itk_module().write_like)(path, in_file, like)
    else:
        _write_new(path, in_file, header.geometry, header.frame_time_ms)


def write_image(path: Path, volume: Volume, *, dtype: str = "float32") -> None:
    """Write a volume with ``dtype`` (integers are rounded), whole or not at all; ``frame_time_ms`` is kept.

    Raises ``ValueError`` if a value does not fit into ``dtype``.
    """
    kind, values = np.dtype(dtype), volume.array
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        values = np.rint(np.asarray(values, dtype=np.float64))
        if not np.isfinite(values).all() or values.min() < limits.min or values.max() > limits.max:
            raise ValueError(f"the image's values do not fit into {dtype}")
    _write_new(path, volume.geometry.to_file(values.astype(kind)), volume.geometry, volume.frame_time_ms)


def _write_new(path: Path, array: NDArray[np.generic], geometry: Geometry, step_ms: float | None) -> None:
    write = _nifti_write.write_new if is_nifti(path) else _itk_module().write_new
    write(path, array, np.array(geometry.affine), step_ms)


def is_nifti(path: Path) -> bool:
    """Return whether a file is NIfTI by its name; raises ``DataError`` for an ending that is unknown."""
    ending = split_ending(path.name)[1].lower()
    if not ending:
        raise DataError(
            f"{path}: expected a file that ends in {', '.join(ENDINGS)}.",
            remedy="Convert the image to NIfTI (.nii.gz).",
        )
    return ending in _NIFTI


def _itk_module() -> ModuleType:
    from autolv.imageio import _itk  # SimpleITK takes long to import, and most data are NIfTI

    return _itk


def _read(path: Path, *, header_only: bool = False) -> Stored:
    module: ModuleType = _nifti if is_nifti(path) else _itk_module()
    if not path.is_file():
        raise DataError(f"{path} does not exist.", remedy="Check the path.")
    read: Callable[[Path], Stored] = module.describe if header_only else module.read
    with naming_the_file(path):
        return read(path)


@contextmanager
def naming_the_file(path: Path) -> Iterator[None]:
    """Raise what a library says of a file that it cannot read as ``DataError`` with the file's name."""
    try:
        yield
    except DataError:
        raise
    except (_nifti if is_nifti(path) else _itk_module()).ERRORS as error:
        # SimpleITK puts source files and line numbers before the words that matter
        reason = " ".join(str(error).split()).rsplit("ERROR: ", 1)[-1].rstrip(".") or type(error).__name__
        raise DataError(f"{path} cannot be read as an image: {reason}.", remedy="Replace the file.") from error


def _array(stored: Stored) -> NDArray[np.generic]:
    if stored.array is None:
        raise ValueError("only the header was read")
    return stored.array


def _volume(stored: Stored, array: NDArray[np.generic], dtype: type[np.generic] | None = None) -> Volume:
    canonical = np.ascontiguousarray(stored.geometry.to_canonical(array), dtype=dtype)  # at most one copy
    return Volume(array=canonical, geometry=stored.geometry, frame_time_ms=stored.frame_time_ms)


def _as_codes(path: Path, values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return label values as uint8; raises ``DataError`` for what is no integer between 0 and 255."""
    if values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    numbers = values.astype(np.float64)
    bad = np.isnan(numbers)
    if bad.any():
        raise DataError(f"{path}: {int(bad.sum())} label voxels are NaN.", remedy="Correct the label map.")
    codes = np.rint(numbers)
    bad = np.isinf(numbers) | ~np.isclose(numbers, codes, rtol=0, atol=_INTEGER_TOLERANCE)
    if bad.any():
        raise DataError(
            f"{path}: label values must be integers, got {float(numbers[bad][0]):g} and the like in {int(bad.sum())} "
            f"voxels.",
            remedy="Store the label map without interpolation.",
        )
    bad = (codes < 0) | (codes > 255)
    if bad.any():
        raise DataError(
            f"{path}: label values must lie between 0 and 255, got {int(codes[bad][0])} and the like in "
            f"{int(bad.sum())} voxels.",
            remedy="Renumber the labels; if this is an image, it stands in the place of its label map.",
        )
    return codes.astype(np.uint8)
