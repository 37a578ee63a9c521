"""One preprocessed case in one safetensors file: image, labels, and the record of what was done to them."""

from __future__ import annotations

import json
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


def map_stored(path: Path) -> StoredCase:
    """Return the case stored at ``path`` with arrays that are read from the file when and where they are looked at.

    Changes to them do not reach the file. Raises ``DataError`` as ``read_stored``.
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
        return StoredCase(image=arrays["image"], labels=arrays["labels"], record=record)
    except (KeyError, OSError, ValueError) as error:
        raise _damaged(path, error) from error


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
