"""Class probabilities on a case's grid, kept compactly: the box where not all is background, in half precision."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from autolv.core.errors import DataError
from autolv.ops.half import from_half
from autolv.schema.preprocessed import Box
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stored:
    """Probabilities (classes, z, y, x) inside ``box`` of a grid of ``shape``; outside it the background is certain."""

    half: NDArray[np.float16]
    box: Box
    shape: tuple[int, int, int]

    @property
    def inside(self) -> NDArray[np.float32]:
        """The probabilities inside the box, a new array each time."""
        return from_half(self.half)


def read_probabilities(path: Path) -> Stored:
    """Return the probabilities stored at ``path``; a case without any foreground has an empty box.

    Raises ``DataError`` if the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            inside, box, shape = stored["inside"], stored["box"], tuple(int(n) for n in stored["shape"])
        z, y, x = ((int(low), int(high)) for low, high in box)
        if len(shape) != 4 or inside.shape != (shape[0], *(high - low for low, high in (z, y, x))):
            raise ValueError(f"probabilities of shape {inside.shape} in a box of {shape}")
        if inside.dtype != np.float16:
            raise ValueError(f"probabilities are {inside.dtype}, not float16")
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read ({error}).", remedy="Delete the fold's validation folder and train the fold again."
        ) from error
    return Stored(half=inside, box=(z, y, x), shape=(shape[1], shape[2], shape[3]))
