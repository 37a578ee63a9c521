"""Writing NIfTI. Headers of images are copied as bytes, so that nothing in them is rounded or repaired."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from autolv.imageio._grid import spatial_shape
from autolv.imageio._nifti import HEADERS, head_bytes, raw_header
from autolv.schema.record import NewFile


def write_like(path: Path, array: NDArray[np.uint8], like: Path) -> None:
    """Write ``array`` (i, j, k[, t]) with the header of ``like``: orientation, spacing and units copied bit for bit."""
    file = NewLabels(path, like, frames=array.shape[3] if array.ndim == 4 else None)
    try:
        for frame in np.moveaxis(array, 3, 0) if array.ndim == 4 else (array,):
            file.add(frame)
        file.finish()
        file.place()
    finally:
        file.drop()


@final
class NewLabels:
    """A label file that is written frame by frame with the header of ``like``; it is there once it is placed."""

    def __init__(self, path: Path, like: Path, *, frames: int | None) -> None:
        """Begin the file, of so many ``frames`` along the fourth axis; of one frame without such an axis for ``None``."""
        header = raw_header(head_bytes(like), repaired=False)
        stored = tuple(int(n) for n in header["dim"][1 : 1 + int(header["dim"][0])])
        spatial, there = spatial_shape(like, stored)
        shape = (*spatial, frames) if frames is not None else spatial if there > 1 else stored
        _set_array_fields(header.structarr, shape)
        self._file = NewFile(path, hashed=True)
        self._packed = _packer(path, self._file)
        self._write(header.binaryblock + bytes(4))

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Append a frame (i, j, k)."""
        self._write(frame.tobytes(order="F"))

    def finish(self) -> str:
        """Return the SHA-256 of the whole file, to which nothing is added any more."""
        if self._packed is not None:
            self._packed.close()
        return self._file.sha256

    def place(self) -> None:
        """Put the finished file where it belongs."""
        self._file.place()

    def drop(self) -> None:
        """Leave nothing behind of a file that was not placed."""
        with suppress(OSError, ValueError):  # a disk that is full, or what is closed already
            self.finish()
        self._file.drop()

    def _write(self, data: bytes) -> None:
        (self._file if self._packed is None else self._packed).write(data)


def write_new(path: Path, array: NDArray[np.generic], affine: NDArray[np.float64], step_ms: float | None) -> None:
    """Write ``array`` (i, j, k[, t]) with a fresh NIfTI-1 header: sform and qform hold ``affine`` (code 1, scanner)."""
    header = HEADERS[348](endianness="<")
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header.set_qform(affine, code=1)
    header.set_sform(affine, code=1)
    header.set_xyzt_units("mm", None if step_ms is None else "sec")
    if array.ndim == 4:
        header["pixdim"][4] = 1.0 if step_ms is None else step_ms / 1000.0
    header["scl_slope"], header["scl_inter"] = 1.0, 0.0
    header["vox_offset"], header["magic"] = 352, b"n+1"
    _save(path, header.binaryblock, array.astype(array.dtype.newbyteorder("<")))


def _set_array_fields(fields: Any, shape: tuple[int, ...]) -> None:
    """Set the fields that describe the voxels, which are unsigned bytes without scaling; leave the others alone."""
    fields["dim"][:] = 1
    fields["dim"][0] = len(shape)
    fields["dim"][1 : 1 + len(shape)] = shape
    fields["datatype"], fields["bitpix"] = 2, 8  # NIFTI_TYPE_UINT8
    fields["scl_slope"], fields["scl_inter"] = 1.0, 0.0
    fields["cal_min"], fields["cal_max"] = 0.0, 0.0  # the image's display window does not fit labels
    fields["intent_code"] = 0
    fields["vox_offset"] = int(fields.dtype.itemsize) + 4
    # NIfTI-2 has four more bytes of magic, which guard against damage by text-mode transfers
    fields["magic"] = b"n+1" if fields.dtype.itemsize == 348 else b"n+2\x00\r\n\x1a\n"


def _save(path: Path, head: bytes, array: NDArray[np.generic]) -> None:
    """Write header, an empty extension block and voxels, whole or not at all; equal input gives equal bytes."""
    file = NewFile(path)
    try:
        packed = _packer(path, file)
        for data in (head + bytes(4), array.tobytes(order="F")):
            (file if packed is None else packed).write(data)
        if packed is not None:
            packed.close()
        file.place()
    finally:
        file.drop()


def _packer(path: Path, file: NewFile) -> gzip.GzipFile | None:
    """Return what compresses into ``file`` where the name of ``path`` asks for it: without name and date."""
    if not path.name.lower().endswith(".gz"):
        return None
    return gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0)
