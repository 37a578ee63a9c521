"""Reading NIfTI through nibabel: whole files, frames one by one, headers alone."""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from autolv.core.errors import DataError
from autolv.imageio._grid import Stored, checked_geometry, frame_time_ms, spatial_shape, warn

ERRORS = (
    OSError, EOFError, zlib.error, ValueError, TypeError, OverflowError, KeyError, nib.spatialimages.HeaderDataError,
)  # fmt: skip
HEADERS: dict[int, Any] = {348: nib.Nifti1Header, 540: nib.Nifti2Header}  # by their size in bytes
_ArrayProxy: Any = nib.arrayproxy.ArrayProxy
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK_BYTES = 1 << 20
_SPACING_TOLD = 1e-3  # relative; volumes differ by 0.3 %
# the lowest three bits of xyzt_units say the unit of length, the next three that along the fourth axis (nifti1.h)
_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # unknown, metre, millimetre, micrometre
_TIME_UNITS = {8: "sec", 16: "msec", 24: "usec"}
_NO_TIME_UNITS = (0, 32, 40, 48)  # unknown, hertz, parts per million, radians per second


def read(path: Path) -> Stored:
    """Return the whole file; a gzip's checksum is verified.

    Raises one of ``ERRORS`` if it cannot be read, ``DataError`` if it does not fit into memory.
    """
    try:
        return _read(path)
    except MemoryError as error:
        raise DataError(
            f"{path}: reading it takes more memory than there is.",
            remedy="Close other programs, or replace the file if it should be small.",
        ) from error


def _read(path: Path) -> Stored:
    data = path.read_bytes()
    if data.startswith(_GZIP_MAGIC):
        data = gzip.decompress(data)
    header = raw_header(data, repaired=True)
    described = _describe(path, header)
    kind = _voxel_type(path, header)
    # before nibabel makes room for what the header claims: a damaged one may claim more than any machine has
    _refuse_too_short(header, described, kind, len(data))
    array = np.asanyarray(_ArrayProxy(io.BytesIO(data), header))
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
    return _describe(path, raw_header(head_bytes(path), repaired=True))


def read_frames(path: Path, numbers: Sequence[int]) -> Iterator[NDArray[np.generic]]:
    """Yield frames (i, j, k) by their ``numbers``, from 0 and ascending; a frame at a time is in memory.

    The whole file is gone through before the first: one that is cut short or damaged gives none. Raises one of ``ERRORS``.
    """
    header = raw_header(head_bytes(path), repaired=True)
    described = _describe(path, header)
    kind = _voxel_type(path, header)
    with _unpacked(path) as file:
        held = 0
        while chunk := file.read(_CHUNK_BYTES):
            held += len(chunk)
    _refuse_too_short(header, described, kind, held)
    spatial = described.geometry.file_shape
    size = math.prod(spatial) * kind.itemsize
    slope, inter = header.get_slope_inter()
    scaling = (1.0 if slope is None else slope, 0.0 if inter is None else inter)
    with _unpacked(path) as file:
        for number in numbers:
            file.seek(header.get_data_offset() + number * size)
            yield np.asanyarray(_ArrayProxy(io.BytesIO(file.read(size)), (spatial, kind, 0, *scaling)))


def raw_header(data: bytes, *, repaired: bool) -> Any:
    """Return the header at the beginning of ``data``, as it stands or with its spacing made positive."""
    for size in (int.from_bytes(data[:4], "little"), int.from_bytes(data[:4], "big")):
        if size in HEADERS and len(data) >= size:
            header = HEADERS[size](data[:size], check=False)
            if repaired:
                fields = header.structarr
                # some writers store negative spacings; the sign belongs in the affine, and the qform needs it gone
                fields["pixdim"][1:4] = np.abs(fields["pixdim"][1:4])
                if int(fields["dim"][0]) == 2 and fields["pixdim"][3] == 0:
                    fields["pixdim"][3] = 1.0  # a slice without a stated thickness
            return header
    raise ValueError("it does not begin with a NIfTI header")


def head_bytes(path: Path) -> bytes:
    with _unpacked(path) as file:
        return file.read(540)


def _voxel_type(path: Path, header: Any) -> np.dtype[Any]:
    try:
        kind: np.dtype[Any] = header.get_data_dtype()
    except KeyError:
        raise ValueError(f"NIfTI has no datatype {int(header['datatype'])}") from None
    if kind.kind not in "iufb":
        raise DataError(
            f"{path}: expected one real number per voxel, got {kind}.", remedy="Convert the image to grey values."
        )
    return kind


def _refuse_too_short(header: Any, described: Stored, kind: np.dtype[Any], held: int) -> None:
    claimed = header.get_data_offset() + math.prod(described.shape) * kind.itemsize
    if claimed > held:
        size = " x ".join(str(n) for n in described.shape)
        raise ValueError(f"its header claims {claimed} bytes ({size} voxels), it holds {held}")


def _unpacked(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP_MAGIC
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def _units(path: Path, header: Any) -> tuple[float, str]:
    """Return the millimetres of one unit of length, and the unit of time (``unknown`` where it is none)."""
    code = int(header["xyzt_units"])
    length, time = code & 0b000111, code & 0b111000
    mm_per_unit = _MM_PER_UNIT.get(length, 1.0)
    if code != length + time or length not in _MM_PER_UNIT or time not in (*_TIME_UNITS, *_NO_TIME_UNITS):
        warn(path, f"NIfTI has no units of code {code}; lengths are taken as multiples of {mm_per_unit:g} mm.")
    return mm_per_unit, _TIME_UNITS.get(time, "unknown")


def _describe(path: Path, header: Any) -> Stored:
    stored = tuple(int(n) for n in header["dim"][1 : 1 + int(header["dim"][0])])
    spatial, frames = spatial_shape(path, stored)
    mm_per_unit, time_unit = _units(path, header)
    affine = _affine(path, header)
    affine[:3] *= mm_per_unit
    geometry = checked_geometry(path, affine, spatial)
    step = frame_time_ms(float(header["pixdim"][4]), time_unit, frames)
    return Stored(shape=stored, geometry=geometry, frames=frames, frame_time_ms=step)


def _affine(path: Path, header: Any) -> NDArray[np.float64]:
    """Return the sform if its code is set, else the qform, else the spacing alone; all with the spacing of pixdim."""
    zooms = np.asarray(header["pixdim"][1:4], dtype=np.float64)
    sform = np.asarray(header.get_sform(), dtype=np.float64) if int(header["sform_code"]) > 0 else None
    qform = np.asarray(header.get_qform(), dtype=np.float64) if int(header["qform_code"]) > 0 else None
    chosen = qform if sform is None else sform
    if chosen is None:
        warn(path, "its header has no orientation (sform and qform codes are 0); only its spacing is used.")
        return np.asarray(header.get_base_affine(), dtype=np.float64)
    if sform is not None and qform is not None:
        sform = chosen = _with_spacing(path, sform, zooms)
        apart = _corners_apart_mm(sform, qform, header)
        if apart > 0.5:
            warn(path, f"its sform and qform disagree by up to {apart:.1f} mm; the sform is used, both are kept.")
    return _with_spacing(path, chosen, zooms)


def _with_spacing(path: Path, affine: NDArray[np.float64], zooms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``affine`` with the spacing of the zooms, from which alone volumes are computed; told where they differ.

    The files of ACDC hold directions of length 1 in the sform and the spacing in pixdim alone; volumes computed from
    that sform would be wrong by a factor of 24 (1.56 x 1.56 x 10 mm). That is known, and not told.
    """
    norms = np.linalg.norm(affine[:3, :3], axis=0)
    usable = np.isfinite(zooms) & (zooms > 0) & np.isfinite(norms) & (norms > 0)
    differ = usable & (np.abs(norms - zooms) > _SPACING_TOLD * zooms)
    if differ.any() and np.abs(norms - 1.0).max() > 1e-3:
        warn(path, f"its affine gives a spacing of {np.round(norms, 4).tolist()} mm, its pixdim "
             f"{np.round(zooms, 4).tolist()} mm; pixdim is used.")  # fmt: skip
    scaled = affine.copy()
    scaled[:3, :3] *= np.where(usable, zooms / np.where(usable, norms, 1.0), 1.0)
    return scaled


def _corners_apart_mm(first: NDArray[np.float64], second: NDArray[np.float64], header: Any) -> float:
    """Return the largest distance between where two affines place the corners of the array."""
    sizes = [max(0, int(n) - 1) for n in header["dim"][1:4]]
    corners = np.array([[i, j, k, 1] for i in (0, sizes[0]) for j in (0, sizes[1]) for k in (0, sizes[2])], dtype=float)
    return float(np.linalg.norm((corners @ (first - second).T)[:, :3], axis=1).max())
