"""A dataset in one compressed file: preprocessed cases about the hearts, and what scoring on the original grid needs.

An image is kept as 256 levels that lie evenly on the scale of asinh: finely spaced about 0, the mean of a normalised
image, and the wider the further out, where few and bright voxels are.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autolv.core.errors import DataError, PlanError
from autolv.ops.crop import crop, nonzero_box, paste
from autolv.schema.plan import Configuration, Plan
from autolv.schema.preprocessed import Box, PreprocessedCase
from autolv.schema.record import from_json, read_record, write_bytes
from autolv.schema.splits import Splits
from autolv.training.sampler import TrainingCase

_LEVELS = 255
_INDEX = "index"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PackedCase:
    """What is kept of a case.

    ``image`` float32 and ``labels`` uint8 are the part ``window`` of the preprocessed arrays of ``record.grid.shape``;
    ``reference`` uint8 are the labels on the original grid.
    """

    record: PreprocessedCase
    window: Box
    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    reference: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pack:
    """A dataset as it travels. All configurations of ``plan`` preprocess alike."""

    plan: Plan
    splits: Splits
    cases: tuple[PackedCase, ...]

    def configuration(self, name: str) -> Configuration:
        """Return the configuration ``name``; an unknown one is a ``PlanError``."""
        if name not in self.plan.configurations:
            raise PlanError(
                f"the pack has no configuration {name!r}.", remedy=f"It has {', '.join(self.plan.configurations)}."
            )
        return self.plan.configurations[name]

    def of(self, patients: Sequence[str]) -> list[PackedCase]:
        """Return the cases of ``patients``."""
        return [case for case in self.cases if case.record.patient in set(patients)]


def write_pack(path: Path, pack: Pack) -> int:
    """Write a pack, whole or not at all; return its size in bytes."""
    arrays: dict[str, NDArray[Any]] = {}
    entries = []
    for packed in pack.cases:
        name = packed.record.case
        levels, low, step = _levels(packed.image)
        around = nonzero_box(packed.reference)
        arrays |= {f"{name}.image": levels, f"{name}.labels": packed.labels}
        arrays[f"{name}.reference"] = crop(packed.reference, around)
        entries.append(
            {"record": packed.record.to_json(), "window": packed.window, "low": low, "step": step, "around": around}
        )
    index = {"plan": pack.plan.to_json(), "splits": pack.splits.to_json(), "cases": entries}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{_INDEX: np.array(json.dumps(index))}, **arrays)
    write_bytes(path, buffer.getvalue())
    return len(buffer.getvalue())


def read_pack(path: Path) -> Pack:
    """Return the pack at ``path``; raises ``DataError`` if it is missing or damaged."""
    try:
        with np.load(path) as file:
            index = json.loads(str(file[_INDEX]))
            cases = tuple(_read_case(file, entry) for entry in index["cases"])
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a pack ({error}).", remedy="Make it with pack.") from error
    where = str(path)
    return Pack(
        plan=from_json(Plan, index["plan"], where=where),
        splits=from_json(Splits, index["splits"], where=where),
        cases=cases,
    )


def in_place_of(pack: Pack, plan: Path | None, splits: Path | None) -> Pack:
    """Return the pack with another plan and other folds where files are named, of its own patients and voxels.

    Raises ``PlanError`` where a configuration of the plan is preprocessed otherwise, or folds name unknown patients.
    """
    block = next(iter(pack.plan.configurations.values())).preprocessing.content_hash()
    if plan is not None:
        pack = replace(pack, plan=read_record(Plan, plan))
        other = [n for n, c in pack.plan.configurations.items() if c.preprocessing.content_hash() != block]
        if other:
            raise PlanError(f"{other[0]} of {plan} is preprocessed otherwise than the pack's cases.",
                            remedy="Pack it by itself.")  # fmt: skip
    if splits is not None:
        pack = replace(pack, splits=read_record(Splits, splits))
        known = {case.record.patient for case in pack.cases}
        named = {patient for fold in pack.splits.folds for patient in (*fold.train, *fold.validation)}
        if named - known:
            raise PlanError(
                f"{splits} names {min(named - known)}, which is not in the pack.", remedy="Pack them first."
            )
    return pack


def training_case(packed: PackedCase, device: torch.device) -> TrainingCase:
    """Return a packed case as the sampler takes it, on ``device``."""
    box = packed.record.heart_box
    sides = (
        None if box is None else [tuple(n - at for n in side) for side, (at, _) in zip(box, packed.window, strict=True)]
    )
    return TrainingCase(
        case=packed.record.case,
        patient=packed.record.patient,
        image=torch.from_numpy(packed.image).to(device),
        labels=torch.from_numpy(packed.labels).to(device),
        heart_box=None if sides is None else (sides[0], sides[1], sides[2]),  # type: ignore[arg-type]
        known=packed.record.known,
    )


def central_window(shape: Sequence[int], half: Sequence[float]) -> Box:
    """Return the part of a (z, y, x) ``shape`` within ``half`` (y, x) voxels of its centre in-plane; all slices."""
    sides = [
        (max(0, int(size / 2 - h)), min(size, int(np.ceil(size / 2 + h))))
        for size, h in zip(shape[1:], half, strict=True)
    ]
    return (0, shape[0]), sides[0], sides[1]


def reach_mm(records: Sequence[PreprocessedCase]) -> float:
    """Return how far in-plane, in mm, the labels of all cases reach from the centres of their fields, along y or x."""
    reach = 0.0
    for record in records:
        for axis in (1, 2) if record.heart_box is not None else ():
            centre = record.grid.shape[axis] / 2
            reach = max(reach, *(abs(end - centre) * record.grid.spacing_mm[axis] for end in record.heart_box[axis]))
    return reach


def _read_case(file: Any, entry: dict[str, Any]) -> PackedCase:
    record = from_json(PreprocessedCase, entry["record"], where="the pack")
    sides, around = (tuple((int(a), int(b)) for a, b in entry[key]) for key in ("window", "around"))
    levels = np.cumsum(file[f"{record.case}.image"], axis=-1, dtype=np.uint8)
    return PackedCase(
        record=record,
        window=(sides[0], sides[1], sides[2]),
        image=np.sinh(entry["low"] + entry["step"] * levels.astype(np.float64)).astype(np.float32),
        labels=file[f"{record.case}.labels"],
        reference=paste(
            file[f"{record.case}.reference"], (around[0], around[1], around[2]), record.grid.original_shape
        ),
    )


def _levels(image: NDArray[np.float32]) -> tuple[NDArray[np.uint8], float, float]:
    """Return ``image`` as levels, each less the one before it along x, the lowest of them on the scale of asinh, and the step.

    Differences, modulo 256, compress by an eighth better than the levels themselves.
    """
    bent = np.arcsinh(image.astype(np.float64))
    low, step = float(bent.min()), max(float(np.ptp(bent)) / _LEVELS, 1e-9)
    levels = np.round((bent - low) / step).astype(np.uint8)
    return np.diff(levels, axis=-1, prepend=np.uint8(0)), low, step
