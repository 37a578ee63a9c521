"""All registered checks on one patient, and the verdict that follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Geometry
from autolv.readout.quality._check import QUALITY_CHECKS, Example
from autolv.readout.quality._heart import Heart
from autolv.readout.quality._limits import Limits
from autolv.schema.quality import Finding, NotChecked, Verdict
from autolv.schema.readout import Readout


def judge(
    frames: Mapping[int, NDArray[np.integer]], structures: Sequence[str], geometry: Geometry, *,
    readout: Readout | None = None, limits: Limits | None = None,
    images: Mapping[int, NDArray[np.floating]] | None = None, whole_cycle: bool = False,
    expected_dice: Mapping[int, Mapping[str, float]] | None = None,
) -> Verdict:  # fmt: skip
    """Return the verdict on one patient's label maps, the gravest findings first.

    ``frames`` maps frames (from 1) to labels (z, y, x) with 0 and 1 + the position in ``structures``: end-diastole and
    end-systole, one frame, or all of a cine (``whole_cycle``). ``readout`` gives its volumes and which frames are ED and
    ES, else these are taken from the labels; ``limits`` what the model was trained on; ``images`` the frames'
    images; ``expected_dice`` frame -> structure -> the Dice that the model expects of its labels. A check that lacks
    something it needs is among ``not_checked``. Raises ``ValueError`` without frames or LV cavity among the structures, and
    for labels of another shape than ``geometry``'s.
    """
    if not frames:
        raise ValueError("at least one frame is needed")
    for number, labels in frames.items():
        if labels.shape != geometry.shape:
            raise ValueError(f"frame {number} has labels of shape {labels.shape}, its geometry is {geometry.shape}")
    heart = Heart(
        frames, structures, geometry, readout=readout, limits=limits, images=images, whole_cycle=whole_cycle,
        expected_dice=expected_dice,
    )  # fmt: skip
    findings: list[Finding] = []
    not_checked = []
    for name in QUALITY_CHECKS:
        check = QUALITY_CHECKS.get(name)
        lacking = [structure for structure in check.needs if structure not in heart.structures]
        found = f"{' and '.join(lacking)} not segmented" if lacking else check.find(check, heart)
        if isinstance(found, str):
            not_checked.append(NotChecked(check=name, reason=found))
        else:
            findings += found
    findings.sort(key=lambda finding: (finding.level != "fail", finding.frame or 0, finding.check))
    level = findings[0].level if findings else "pass"
    return Verdict(level=level, findings=tuple(findings), not_checked=tuple(not_checked))


def judge_example(example: Example) -> Verdict:
    """Return the verdict on a check's example."""
    shape = next(iter(example.frames.values())).shape
    return judge(
        example.frames, example.structures, Geometry.from_spacing(example.spacing_mm, (shape[0], shape[1], shape[2])),
        readout=example.readout, limits=example.limits, images=example.images, whole_cycle=example.whole_cycle,
        expected_dice=example.expected_dice,
    )  # fmt: skip
