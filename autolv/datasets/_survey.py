"""What the label maps of converted cases hold, and what follows from it: structures, phases, the report."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autolv.core.errors import DataError
from autolv.core.labels import LV_CAVITY
from autolv.imageio.volumes import read_labels
from autolv.schema.dataset import Case, ConversionReport, Dataset


@dataclass(frozen=True, slots=True)
class Seen:
    """Voxels per code of one label map and its grid; ``readable`` is false where the file could not be read.

    Unreadable files are left for the dataset check, which sees all cases and names each fault.
    """

    voxels: Mapping[int, int]
    grid: tuple[tuple[int, ...], float]  # shape (z, y, x), ml per voxel
    readable: bool = True


def survey(path: Path | None) -> Seen:
    """Return what the label map at ``path`` holds."""
    if path is None:
        return Seen({}, ((), 0.0))
    try:
        volume = read_labels(path)
    except DataError:
        return Seen({}, ((), 0.0), readable=False)
    counts = np.bincount(volume.array.ravel(), minlength=256)
    voxels = {int(code): int(counts[code]) for code in np.flatnonzero(counts) if code}
    return Seen(voxels, (volume.array.shape, volume.geometry.voxel_ml))


def occurring(labels: Mapping[str, int], seen: Sequence[Seen], problems: list[str]) -> dict[str, int]:
    """Return the structures of ``labels`` that occur in any of ``seen``; the others are noted in ``problems``.

    Where not even the LV cavity occurs there is nothing to go by: all are kept, for the dataset check to complain.
    """
    codes = {code for one in seen for code in one.voxels}
    absent = [name for name, code in labels.items() if code not in codes]
    if LV_CAVITY in absent or not absent:
        return dict(labels)
    verb = "occurs" if len(absent) == 1 else "occur"
    problems.append(f"{' and '.join(absent)} never {verb} in the training labels: left out of the dataset")
    return {name: code for name, code in labels.items() if name not in absent}


def with_phases(cases: Sequence[Case], seen: Mapping[str, Seen], lv_code: int, problems: list[str]) -> list[Case]:
    """Return ``cases`` with the phases of patients who have just two frames, both without one, on the same grid.

    The frame with the larger LV cavity is end-diastole, the other end-systole.
    """
    frames: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        frames[case.patient].append(case)
    found: dict[str, Case] = {}
    for pair in frames.values():
        if len(pair) != 2 or any(case.phase is not None or case.case not in seen for case in pair):
            continue
        first, second = (seen[case.case] for case in pair)
        volumes = first.voxels.get(lv_code, 0), second.voxels.get(lv_code, 0)
        if first.grid != second.grid or 0 in volumes or volumes[0] == volumes[1]:
            continue
        ed, es = pair if volumes[0] > volumes[1] else (pair[1], pair[0])
        found |= {ed.case: ed.model_copy(update={"phase": "ED"}), es.case: es.model_copy(update={"phase": "ES"})}
    if found:
        problems.append(f"ED and ES of {len(found) // 2} patients were told apart by the LV cavity's volume")
    return [found.get(case.case, case) for case in cases]


def conversion_report(
    kind: str,
    source: Path,
    target: Path,
    dataset: Dataset,
    seen: Sequence[Seen],
    *,
    problems: Sequence[str] = (),
    skipped: Sequence[tuple[str, str]] = (),
    cines: int = 0,
) -> ConversionReport:
    """Return the report of a conversion whose label maps hold ``seen``."""
    phases = Counter(case.phase or "unknown" for case in dataset.training)
    codes = Counter(code for one in seen for code in one.voxels)
    unreadable = sum(not one.readable for one in seen)
    notes = [f"{unreadable} label maps could not be read; the dataset check names them"] if unreadable else []
    unknown = sorted(set(codes) - set(dataset.labels.values()))
    if unknown:
        notes.append(f"codes {', '.join(map(str, unknown))} in the label maps are of no known structure")
    return ConversionReport(
        kind=kind,
        source=str(source),
        dataset=str(target),
        cases=len(dataset.training),
        test_cases=len(dataset.test),
        patients=len(dataset.patients),
        cines=cines,
        frames={name: phases[name] for name in ("ED", "ES", "unknown")},
        labels=dataset.labels,
        labels_seen={str(code): codes[code] for code in sorted(codes)},
        patient_rule=dataset.patient_rule,
        problems=(*problems, *notes),
        skipped=tuple(skipped),
    )
