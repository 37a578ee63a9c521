"""Strict records to and from JSON, their hash, and the atomic writing of small files."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, final

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

from autolv.core.errors import SchemaError

R = TypeVar("R", bound="Record")

# Undefined is NaN in memory and null on disk (JSON has no NaN).
NanFloat = Annotated[
    float,
    BeforeValidator(lambda v: math.nan if v is None else v),
    PlainSerializer(lambda v: None if math.isnan(v) else v, when_used="json"),
]
Migration = Callable[[dict[str, Any]], dict[str, Any]]


class Record(BaseModel):
    """Base of all records: frozen, no unknown keys, no silent conversion of types.

    ``MIGRATIONS[n]`` takes the JSON of a record of version n to version n + 1.
    """

    MIGRATIONS: ClassVar[Mapping[int, Migration]] = {}
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=True)

    def to_json(self) -> str:
        """Return the record as indented JSON with a newline at the end."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def content_hash(self) -> str:
        """Return the first 16 hexadecimal digits of the SHA-256 of the record's canonical JSON."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def from_json(kind: type[R], text: str, *, where: str) -> R:
    """Return the record of ``kind`` in ``text``, taken to the version of today; ``where`` names the file in messages.

    Raises ``SchemaError`` that names the key; a record newer than ``kind`` knows is refused too.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise SchemaError(
            f"{where} is not valid JSON ({error}).", remedy="Delete it and run the command that writes it again."
        ) from error
    if isinstance(data, dict):
        while data.get("version") in kind.MIGRATIONS:
            data = kind.MIGRATIONS[data["version"]](data)
    try:
        return kind.model_validate_json(json.dumps(data))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the whole record"
        raise SchemaError(
            f"{where}: {key}: {first['msg']} (got {_short(first['input'])}).",
            remedy="Correct that key, or delete the file and run the command that writes it again.",
        ) from error


def read_record(kind: type[R], path: Path) -> R:
    """Return the record of ``kind`` stored at ``path``; raises ``SchemaError`` if it cannot be read or is not valid."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SchemaError(f"cannot read {path}: {error}.", remedy="Run the command that writes it again.") from error
    return from_json(kind, text, where=str(path))


def write_record(record: Record, path: Path) -> None:
    """Write ``record`` to ``path`` as JSON, whole or not at all."""
    write_text(path, record.to_json())


def create_record(record: Record, path: Path) -> bool:
    """Write ``record`` to ``path`` as JSON, whole or not at all, unless something is there; return whether it was written.

    Of several processes that do so at once, one writes.
    """
    written = path.with_name(f".{path.name}.{os.getpid()}.new")
    write_record(record, written)
    try:
        os.link(written, path)  # unlike a renaming it never replaces
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if path.exists():
            return False
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)
    return True


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, whole or not at all: a temporary file beside it is synced, then renamed over it."""
    file = NewFile(path)
    try:
        file.write(data)
        file.place()
    finally:
        file.drop()


def temporary_beside(path: Path) -> Path:
    """Return what ``path`` is called while this process makes it; a process that is killed leaves it behind."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


@final
class NewFile:
    """A file that is written piece by piece: it lies at ``path``, whole, once it is placed, or not at all.

    Beyond that it is a binary file for writing alone, which the standard library's packers accept.
    """

    def __init__(self, path: Path, *, hashed: bool = False) -> None:
        """Begin a temporary file beside ``path``; if ``hashed``, its SHA-256 will be known."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._temporary = path, temporary_beside(path)
        self._file = self._temporary.open("wb")
        self._digest = hashlib.sha256() if hashed else None

    def write(self, data: bytes) -> int:
        """Append ``data``."""
        if self._digest is not None:
            self._digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Hand on what is buffered."""
        self._file.flush()

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was written so far to a file that is ``hashed``."""
        if self._digest is None:
            raise ValueError(f"{self._path} is not hashed while it is written")
        return self._digest.hexdigest()

    def place(self) -> None:
        """Sync the file and rename it over ``path``."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.replace(self._path)

    def drop(self) -> None:
        """Leave nothing behind of a file that was not placed."""
        with suppress(OSError):  # what is buffered may not fit on the disk any more
            self._file.close()
        self._temporary.unlink(missing_ok=True)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
