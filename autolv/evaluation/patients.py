"""From cases to patients: which frame is end-diastole, which end-systole, and the clinical quantities of both."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY
from autolv.readout.volumes import ejection_fraction_percent, myocardial_mass_g
from autolv.schema.results import CaseMetrics

EDV, ESV, SV, EF, MASS = "EDV [ml]", "ESV [ml]", "SV [ml]", "EF [%]", "mass [g]"
RV_EDV, RV_ESV, RV_EF = "RV EDV [ml]", "RV ESV [ml]", "RV EF [%]"
QUANTITIES = (EDV, ESV, EF, MASS, RV_EDV, RV_ESV, RV_EF)
READOUT_QUANTITIES = (EDV, ESV, SV, EF, MASS, RV_EDV, RV_ESV, RV_EF)


@dataclass(frozen=True, slots=True)
class Pair:
    """A quantity as predicted and by the reference; NaN where undefined."""

    predicted: float
    reference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """One patient's end-diastolic and end-systolic case, each ``None`` where it is not there or not unique."""

    patient: str
    end_diastole: CaseMetrics | None
    end_systole: CaseMetrics | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientValues:
    """One patient's quantities (keys of ``READOUT_QUANTITIES``); those whose structure was not segmented are left out."""

    patient: str
    group: str | None
    values: dict[str, Pair]


def frames_by_patient(cases: Sequence[CaseMetrics]) -> tuple[Frames, ...]:
    """Return each patient's two frames, sorted by patient.

    They are known by ``phase``. Where a patient has exactly two cases and neither has a phase, end-diastole is the
    one with the larger LV cavity in the reference. A phase that a patient has twice is not used: which is meant is
    not known.
    """
    of_patient: dict[str, list[CaseMetrics]] = defaultdict(list)
    for case in cases:
        of_patient[case.patient].append(case)
    return tuple(_frames(patient, of_patient[patient]) for patient in sorted(of_patient))


def patient_values(cases: Sequence[CaseMetrics]) -> tuple[PatientValues, ...]:
    """Return each patient's volumes, ejection fractions and myocardial mass (at end-diastole, 1.05 g/ml).

    A value is NaN where its frame is missing; the predicted ejection fraction also where the predicted EDV is 0.
    """
    names = {name for case in cases for name in case.structures}
    groups = {case.patient: case.group for case in cases}
    return tuple(
        PatientValues(patient=frames.patient, group=groups[frames.patient], values=_values(frames, names))
        for frames in frames_by_patient(cases)
    )


def volume_pair(case: CaseMetrics | None, structure: str) -> Pair:
    """Return the volume of ``structure`` in ``case`` in millilitres; NaN where there is no such case or structure."""
    if case is None or structure not in case.structures:
        return Pair(math.nan, math.nan)
    metrics = case.structures[structure]
    return Pair(metrics.volume_ml, metrics.reference_volume_ml)


def _values(frames: Frames, names: set[str]) -> dict[str, Pair]:
    values: dict[str, Pair] = {}
    for structure, edv, esv, ef in ((LV_CAVITY, EDV, ESV, EF), (RV_CAVITY, RV_EDV, RV_ESV, RV_EF)):
        if structure in names:
            diastolic = volume_pair(frames.end_diastole, structure)
            systolic = volume_pair(frames.end_systole, structure)
            values[edv], values[esv] = diastolic, systolic
            values[ef] = Pair(
                ejection_fraction_percent(diastolic.predicted, systolic.predicted),
                ejection_fraction_percent(diastolic.reference, systolic.reference),
            )
    if LV_CAVITY in names:
        values[SV] = Pair(values[EDV].predicted - values[ESV].predicted, values[EDV].reference - values[ESV].reference)
    if LV_MYOCARDIUM in names:
        wall = volume_pair(frames.end_diastole, LV_MYOCARDIUM)
        values[MASS] = Pair(myocardial_mass_g(wall.predicted), myocardial_mass_g(wall.reference))
    return values


def _frames(patient: str, cases: Sequence[CaseMetrics]) -> Frames:
    if len(cases) == 2 and all(case.phase is None for case in cases):
        small, large = sorted(cases, key=lambda case: volume_pair(case, LV_CAVITY).reference)
        if volume_pair(small, LV_CAVITY).reference < volume_pair(large, LV_CAVITY).reference:
            return Frames(patient=patient, end_diastole=large, end_systole=small)
    diastolic = [case for case in cases if case.phase == "ED"]
    systolic = [case for case in cases if case.phase == "ES"]
    return Frames(
        patient=patient,
        end_diastole=diastolic[0] if len(diastolic) == 1 else None,
        end_systole=systolic[0] if len(systolic) == 1 else None,
    )
