"""What a prediction expected of its label maps, brought to the frames of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from autolv.core.labels import LV_CAVITY
from autolv.pipeline.report_inputs import LabelFile
from autolv.readout.expected import with_intervals
from autolv.schema.readout import Readout

_TOLERANCE_ML = 0.01
FrameDice = dict[int, dict[str, float]]


def frame_dice(
    files: Sequence[LabelFile], numbers: Sequence[Sequence[int]], labels: Mapping[int, NDArray[np.uint8]],
    structures: Sequence[str], voxel_ml: float,
) -> FrameDice:  # fmt: skip
    """Return frame (from 1) -> structure -> the Dice that was expected, of the frames that are as they were predicted.

    ``numbers`` are the frames of each of the ``files``. A label map that was edited since has another volume than its
    prediction told: nothing is known of it.
    """
    found: FrameDice = {}
    for file, frames in zip(files, numbers, strict=True):
        status = file.status
        if status is None or status.expected is None:
            continue
        for index, number in enumerate(frames):
            volumes = {name: values[index] for name, values in status.volumes_ml.items() if index < len(values)}
            if _as_predicted(volumes, labels[number], structures, voxel_ml):
                known = {name: values[index] for name, values in status.expected.dice.items() if index < len(values)}
                found[number] = {name: value for name, value in known.items() if not math.isnan(value)}
    return found


def with_expectation(readout: Readout, files: Sequence[LabelFile], dice: FrameDice) -> Readout:
    """Return ``readout`` with the Dice that was expected at its phases, and intervals of EDV, ESV and EF.

    Intervals are of the volumes as they are compared in cross-validation: by the labels, papillary muscles in the cavity.
    """
    phases = {"ED": readout.ed_frame, "ES": readout.es_frame}
    if readout.ed_frame is None and readout.es_frame is None:
        phases = {"frame": next(iter(dice), None)}
    told = {phase: dice[frame] for phase, frame in phases.items() if frame in dice}
    expected = next((file.status.expected for file in files if file.status and file.status.expected), None)
    if not told or expected is None:
        return readout
    changes: dict[str, object] = {"expected_dice": told}
    if readout.method.basal_rule == "as_segmented" and readout.method.papillary_rule == "in_cavity":
        ed, es = (told.get(phase, {}).get(LV_CAVITY) for phase in ("ED", "ES"))
        changes["quantities"] = with_intervals(readout.quantities, expected.factors, ed, es)
        changes["interval_level"] = expected.level
    return readout.model_copy(update=changes)


def _as_predicted(
    volumes_ml: Mapping[str, float], labels: NDArray[np.uint8], structures: Sequence[str], voxel_ml: float
) -> bool:
    counts = np.bincount(labels.ravel(), minlength=len(structures) + 1)
    return all(
        abs(int(counts[channel]) * voxel_ml - volumes_ml.get(name, math.nan)) < _TOLERANCE_ML
        for channel, name in enumerate(structures, start=1)
    )
