"""Class probabilities on a case's grid, kept compactly: the box where not all is background, in half precision."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolv.core.errors import DataError
from autolv.schema.record import write_bytes

_CERTAIN = 0.999  # outside the box the background is at least this probable


def write_probabilities(path: Path, probabilities: NDArray[np.float32]) -> None:
    """Write (classes, z, y, x) probabilities, class 0 the background, whole or not at all."""
    likely = probabilities[0] < _CERTAIN
    box = []
    for axis in range(3):
        present = np.flatnonzero(likely.any(axis=tuple(i for i in range(3) if i != axis)))
        box.append((int(present[0]), int(present[-1]) + 1) if present.size else (0, 0))
    inside = probabilities[(slice(None), *(slice(low, high) for low, high in box))].astype(np.float16)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, inside=inside, box=np.array(box), shape=np.array(probabilities.shape))
    write_bytes(path, buffer.getvalue())


def read_probabilities(path: Path) -> NDArray[np.float32]:
    """Return the (classes, z, y, x) probabilities stored at ``path``; outside the stored box the background is certain.

    Raises ``DataError`` if the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            inside, box, shape = stored["inside"], stored["box"], tuple(int(n) for n in stored["shape"])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read ({error}).", remedy="Delete the fold's validation folder and train the fold again."
        ) from error
    probabilities = np.zeros(shape, dtype=np.float32)
    probabilities[0] = 1.0
    probabilities[(slice(None), *(slice(int(low), int(high)) for low, high in box))] = inside
    return probabilities
