"""One preprocessed case in one safetensors file: image, labels, and the record of what was done to them."""

from __future__ import annotations

import json
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from autolv.core.errors import DataError, SchemaError
from autolv.schema.preprocessed import PreprocessedCase
from autolv.schema.record import from_json, write_bytes

_RECORD = "record"
_CAN_PUT_BACK = hasattr(mmap, "MADV_DONTNEED")  # not on Windows, where a file that is mapped cannot be replaced either


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredCase:
    """A preprocessed case: image float32 and labels uint8, both (z, y, x) of ``record.grid.shape``."""

    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    record: PreprocessedCase

    def __post_init__(self) -> None:
        if self.image.shape != self.record.grid.shape or self.labels.shape != self.image.shape:
            raise ValueError(
                f"image and labels must be {self.record.grid.shape}, got {self.image.shape} and {self.labels.shape}"
            )


def write_stored(path: Path, stored: StoredCase) -> None:
    """Write a case, whole or not at all."""
    tensors: dict[str, NDArray[Any]] = {
        "image": np.ascontiguousarray(stored.image, dtype=np.float32),
        "labels": np.ascontiguousarray(stored.labels, dtype=np.uint8),
    }
    write_bytes(path, save(tensors, metadata={_RECORD: stored.record.to_json()}))


def read_stored(path: Path) -> StoredCase:
    """Return the case stored at ``path``; raises ``DataError`` if the file is missing or damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            record = _record(path, file.metadata())
            image, labels = file.get_tensor("image"), file.get_tensor("labels")
        return StoredCase(image=image, labels=labels, record=record)
    except (SafetensorError, SchemaError, OSError, ValueError) as error:
        raise _damaged(path, error) from error


def map_stored(path: Path, *, ahead: bool = False) -> StoredCase:
    """Return the case stored at ``path`` with arrays that are read from the file when and where they are looked at.

    Changes to them do not reach the file. With ``ahead`` the system is asked to read the file now, into its own cache.
    Raises ``DataError`` as ``read_stored``.
    """
    try:
        record = read_stored_record(path)
        with path.open("rb") as file:  # the format: the header's length in 8 bytes, the header in JSON, the data
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        arrays = {
            name: np.memmap(path, kind, "c", 8 + length + header[name]["data_offsets"][0], tuple(header[name]["shape"]))
            for name, kind in (("image", np.float32), ("labels", np.uint8))
        }
        stored = StoredCase(image=arrays["image"], labels=arrays["labels"], record=record)
    except (KeyError, OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if ahead:
        _advise(stored, "MADV_WILLNEED")
    return stored


def open_stored(path: Path) -> StoredCase:
    """Return the case stored at ``path`` for looking at its parts many times; raises ``DataError`` as ``read_stored``.

    Mapped and read ahead where the system can be told what is done with (``put_back``), read whole elsewhere.
    """
    return map_stored(path, ahead=True) if _CAN_PUT_BACK else read_stored(path)


def put_back(stored: StoredCase) -> None:
    """Leave what has been looked at of a mapped case to the system's cache of files: it no longer counts as this process's.

    What comes from there again costs no reading from disk, and the system may use the memory for something else. Changes
    to the arrays are lost. A case in memory stays as it is.
    """
    if _CAN_PUT_BACK:
        _advise(stored, "MADV_DONTNEED")


def _advise(stored: StoredCase, advice: str) -> None:
    for array in (stored.image, stored.labels):
        base: object = array.base
        if isinstance(base, mmap.mmap) and hasattr(mmap, advice):
            base.madvise(getattr(mmap, advice))


def read_stored_record(path: Path) -> PreprocessedCase:
    """Return the record of the case stored at ``path`` without its arrays; raises ``DataError`` as ``read_stored``."""
    try:
        with safe_open(path, framework="numpy") as file:
            return _record(path, file.metadata())
    except (SafetensorError, SchemaError, OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _record(path: Path, metadata: dict[str, str] | None) -> PreprocessedCase:
    if not metadata or _RECORD not in metadata:
        raise ValueError("it holds no record")
    return from_json(PreprocessedCase, metadata[_RECORD], where=str(path))


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} cannot be read as a preprocessed case ({error}).",
        remedy="Delete it and run autolv_plan_and_preprocess again.",
    )
