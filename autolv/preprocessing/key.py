"""What a preprocessed case depends on, as one hash: if nothing of it changed, the stored result still holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from autolv.core.errors import DataError
from autolv.imageio.volumes import data_files
from autolv.schema.plan import Preprocessing

# To be raised with every change of reading or preprocessing that changes a stored voxel.
PREPROCESSING_VERSION = 3


def case_key(
    image_path: Path,
    label_path: Path | None,
    labels: Mapping[str, int],
    block: Preprocessing,
    *,
    not_annotated: Sequence[str] = (),
) -> str:
    """Return the SHA-256 of a case's content and the preprocessing block.

    The content is image bytes, label bytes, label codes, and which structures are ``not_annotated``. File names and dates
    do not count. Raises ``DataError`` if a file cannot be read.
    """
    content = _content(image_path, label_path, labels, not_annotated)
    return _hash_lines([f"version {PREPROCESSING_VERSION}", *content, f"block {block.content_hash()}"])


def content_key(
    image_path: Path, label_path: Path | None, labels: Mapping[str, int], *, not_annotated: Sequence[str] = ()
) -> str:
    """Return the SHA-256 of a case's content alone; it and the errors are those of ``case_key``."""
    return _hash_lines(_content(image_path, label_path, labels, not_annotated))


def _content(
    image_path: Path, label_path: Path | None, labels: Mapping[str, int], not_annotated: Sequence[str]
) -> list[str]:
    return [
        f"image {_hash_files(image_path)}",
        f"label {'none' if label_path is None else _hash_files(label_path)}",
        f"codes {json.dumps(dict(labels), sort_keys=True)}",
        *(f"not annotated {name}" for name in sorted(not_annotated)),
    ]


def _hash_lines(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _hash_files(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        for part in data_files(path):
            with part.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}).", remedy="Check the path and its permissions.") from error
    return digest.hexdigest()
