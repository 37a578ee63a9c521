"""What preprocessing did to a case, so that it can be undone exactly. All triples are (z, y, x)."""

from __future__ import annotations

from typing import Literal

from autolv.schema.record import Record

IntTriple = tuple[int, int, int]
FloatTriple = tuple[float, float, float]
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]  # (start, stop) per axis


class Grid(Record):
    """How a (z, y, x) volume was cropped, resampled and normalised.

    ``box`` is cut from the canonical array of ``original_shape``, resampled from ``original_spacing_mm`` to
    ``spacing_mm``, which gives ``shape``. Intensities were clipped to ``clip`` where given, then (value - mean) / sd.
    """

    original_shape: IntTriple
    original_spacing_mm: FloatTriple
    box: Box
    shape: IntTriple
    spacing_mm: FloatTriple
    clip: tuple[float, float] | None
    mean: float
    sd: float


class PreprocessedCase(Record):
    """The record stored beside a preprocessed case's arrays.

    ``key`` is the hash of the case's content (image, labels, label codes) and the preprocessing block: a case whose key
    differs from the one computed from the raw files is stale. ``heart_box`` encloses all labels on the new grid.
    ``label_voxels`` are those of each structure, in the order of channels; of ``not_annotated`` ones nothing is known.
    """

    version: Literal[1] = 1
    case: str
    patient: str
    phase: Literal["ED", "ES"] | None
    group: str | None
    key: str
    grid: Grid
    heart_box: Box | None
    label_voxels: dict[str, int]
    not_annotated: tuple[str, ...] = ()

    @property
    def known(self) -> tuple[bool, ...] | None:
        """Which classes are annotated, the background first; ``None``: all."""
        return (True, *(name not in self.not_annotated for name in self.label_voxels)) if self.not_annotated else None
