"""Whole cines frame by frame, so that memory does not grow with their number.

NIfTI is streamed, packed or not: its frames lie one after the other. NRRD and MetaImage are read and written at once.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Geometry
from autolv.imageio import _nifti, _nifti_write
from autolv.imageio.volumes import (
    data_files,
    file_hash,
    is_nifti,
    naming_the_file,
    read_geometry,
    read_image,
    write_labels,
)
from autolv.schema.record import NewFile, temporary_beside


@final
class ImageFile:
    """An image file, opened: ``geometry`` and ``frames`` (1 for a single volume) from its header."""

    def __init__(self, path: Path) -> None:
        """Raise ``DataError`` for what ``read_image`` raises it for, as far as the header tells."""
        self.path = path
        self.geometry: Geometry
        self.geometry, self.frames = read_geometry(path)

    @property
    def is_cine(self) -> bool:
        """Whether there are several frames."""
        return self.frames > 1

    def each(self, numbers: Sequence[int] | None = None) -> Iterator[NDArray[np.float32]]:
        """Yield the frames as ``read_image`` gives them, (z, y, x), those of ``numbers`` (from 0, ascending) or all.

        Raises ``DataError`` before the first if the file is cut short or damaged.
        """
        chosen = range(self.frames) if numbers is None else numbers
        if self.is_cine and is_nifti(self.path):
            with naming_the_file(self.path):
                for stored in _nifti.read_frames(self.path, chosen):
                    yield np.ascontiguousarray(self.geometry.to_canonical(stored).astype(np.float32))
            return
        array = read_image(self.path).array.astype(np.float32, copy=False)
        for number in chosen:
            yield array[number] if self.is_cine else array


@final
class LabelFile:
    """A label file on the grid of the image file ``like``, written frame by frame; it is there once it is placed.

    ``frames`` is how many of the cine ``like`` it will hold; ``None`` for a file of one volume.
    """

    def __init__(self, path: Path, *, like: Path, frames: int | None) -> None:
        """Begin a temporary file beside ``path``."""
        self._path, self._like = path, like
        self._geometry, _ = read_geometry(like)
        self._frames = frames
        self._held: list[NDArray[np.uint8]] = []
        streamed = is_nifti(path) and is_nifti(like)
        self._streamed = _nifti_write.NewLabels(path, like, frames=frames) if streamed else None
        self._folder = temporary_beside(path)

    def add(self, labels: NDArray[np.uint8]) -> None:
        """Append a frame's labels (z, y, x), the file's codes."""
        if self._streamed is None:
            self._held.append(labels)
        else:
            self._streamed.add(self._geometry.to_file(labels).astype(np.uint8, copy=False))

    def finish(self) -> str:
        """Return the SHA-256 of the whole file, to which nothing is added any more."""
        if self._streamed is not None:
            return self._streamed.finish()
        array = self._held[0] if self._frames is None else np.stack(self._held)
        write_labels(self._folder / self._path.name, array, like=self._like, some_frames=True)
        return file_hash(self._folder / self._path.name)

    def place(self) -> None:
        """Put the finished file where it belongs: the header last, where the voxels have a file of their own."""
        if self._streamed is not None:
            self._streamed.place()
            return
        for part in reversed(data_files(self._folder / self._path.name)):
            part.replace(self._path.parent / part.name)
        self.drop()

    def drop(self) -> None:
        """Leave nothing behind of a file that was not placed."""
        if self._streamed is not None:
            self._streamed.drop()
        shutil.rmtree(self._folder, ignore_errors=True)


@final
class ProbabilityFile:
    """An .npz of class probabilities that is written frame by frame; it is there once it is placed.

    ``probabilities`` is float16 (classes, z, y, x), or (t, classes, z, y, x) for a number of ``frames``; ``classes`` are
    the names. Equal input gives equal bytes.
    """

    def __init__(self, path: Path, classes: Sequence[str], shape: Sequence[int], *, frames: int | None) -> None:
        """Begin a temporary file beside ``path`` for frames of ``shape`` (z, y, x)."""
        self._file = NewFile(path)
        self._zip = zipfile.ZipFile(self._file, "w")  # type: ignore[call-overload]
        with self._zip.open(_entry("classes"), "w") as entry:
            np.lib.format.write_array(entry, np.array(classes))
        whole = (len(classes), *shape) if frames is None else (frames, len(classes), *shape)
        self._entry = self._zip.open(_entry("probabilities"), "w", force_zip64=True)
        header = {"descr": "<f2", "fortran_order": False, "shape": tuple(whole)}
        np.lib.format.write_array_header_1_0(self._entry, header)

    def add(self, probabilities: NDArray[np.float16]) -> None:
        """Append a frame (classes, z, y, x)."""
        self._entry.write(np.ascontiguousarray(probabilities, dtype="<f2").tobytes())

    def place(self) -> None:
        """Put the file, to which nothing is added any more, where it belongs."""
        self._entry.close()
        self._zip.close()
        self._file.place()

    def drop(self) -> None:
        """Leave nothing behind of a file that was not placed."""
        with suppress(OSError, ValueError):  # a disk that is full
            self._entry.close()
            self._zip.close()
        self._file.drop()


def _entry(name: str) -> zipfile.ZipInfo:
    """Return an entry without today's date, so that equal input gives equal bytes."""
    entry = zipfile.ZipInfo(f"{name}.npy")
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry
