"""The ACDC challenge's own measures and conventions (Bernard 2018, IEEE TMI 37:2514), for its table.

They differ from ``evaluation.overlap`` in one point: a structure that both maps lack has Dice 1 and Hausdorff
distance 0, as in the challenge's code. A structure that one of them lacks has Dice 0 and no Hausdorff distance; the
challenge leaves this open, and the stand-in of 1 mm found in copies of its code makes a failure look like a success,
so it is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY
from autolv.evaluation.agreement import agreement_by_patient, agreement_of
from autolv.evaluation.means import mean
from autolv.evaluation.patients import EDV, EF, MASS, RV_EDV, RV_EF, frames_by_patient, volume_pair
from autolv.schema.results import Agreement, CaseMetrics, StructureMetrics

MYOCARDIUM_ES = "volume ES [ml]"
_CLINICAL = {LV_CAVITY: (EF, EDV), RV_CAVITY: (RV_EF, RV_EDV), LV_MYOCARDIUM: (MASS,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class AcdcRow:
    """One structure's line of the challenge: means over patients at end-diastole and end-systole, and two quantities.

    ``no_distance`` counts the frames without Hausdorff distance because one of the maps lacks the structure.
    """

    structure: str
    dice_ed: float
    dice_es: float
    hausdorff_ed_mm: float
    hausdorff_es_mm: float
    no_distance: int
    agreement: dict[str, Agreement]


def acdc_rows(cases: Sequence[CaseMetrics]) -> tuple[AcdcRow, ...]:
    """Return the challenge's rows for LV, RV and myocardium, those that the cases have.

    Which frame is which is found by ``frames_by_patient``; frames whose phase it cannot tell are left out.
    """
    frames = frames_by_patient(cases)
    clinical = agreement_by_patient(cases)
    rows = []
    for structure, names in _CLINICAL.items():
        ed = _metrics([f.end_diastole for f in frames], structure)
        es = _metrics([f.end_systole for f in frames], structure)
        if not ed and not es:
            continue
        quantities = {name: clinical[name] for name in names}
        if structure == LV_MYOCARDIUM:
            quantities[MYOCARDIUM_ES] = agreement_of([volume_pair(f.end_systole, structure) for f in frames])
        rows.append(
            AcdcRow(
                structure=structure,
                dice_ed=mean([_dice(m) for m in ed]),
                dice_es=mean([_dice(m) for m in es]),
                hausdorff_ed_mm=mean([_hausdorff_mm(m) for m in ed]),
                hausdorff_es_mm=mean([_hausdorff_mm(m) for m in es]),
                no_distance=sum(m.empty in ("prediction", "reference") for m in (*ed, *es)),
                agreement=quantities,
            )
        )
    return tuple(rows)


def _metrics(cases: Sequence[CaseMetrics | None], structure: str) -> list[StructureMetrics]:
    return [case.structures[structure] for case in cases if case is not None and structure in case.structures]


def _dice(metrics: StructureMetrics) -> float:
    return 1.0 if metrics.empty == "both" else metrics.dice


def _hausdorff_mm(metrics: StructureMetrics) -> float:
    return 0.0 if metrics.empty == "both" else metrics.hausdorff_mm
