"""The quantities of a read-out: each known with its convention, or blank with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autolv.core.labels import LV_MYOCARDIUM, RV_CAVITY
from autolv.readout.body import surface_quantity
from autolv.readout.counting import RULE_WORDS, Counted
from autolv.readout.curve import rates
from autolv.readout.cycle import Cycle, Phases
from autolv.readout.function import cardiac_output, indexed, mass, ventricle_function
from autolv.readout.masks import Mask
from autolv.readout.quantities import blank, derived, known
from autolv.readout.timing import rate_quantities
from autolv.schema.readout import BasalRule, BsaFormula, PapillaryRule, Quantity, Segment

PAPILLARY_WORDS = {"in_cavity": "papillary muscles in the cavity", "in_mass": "papillary muscles in the mass"}
_FITTED = {  # (ED by the fit, ES by the fit)
    (True, True): "extremes of the periodic fit", (False, False): "as measured in their frames",
    (True, False): "end-diastole by the periodic fit, end-systole as measured in its frame",
    (False, True): "end-diastole as measured in its frame, end-systole by the periodic fit",
}  # fmt: skip
RATE_UNITS = {
    "lv_peak_ejection_ml_per_s": "ml/s", "lv_peak_ejection_edv_per_s": "EDV/s", "lv_time_to_peak_ejection_ms": "ms",
    "lv_peak_filling_ml_per_s": "ml/s", "lv_peak_filling_edv_per_s": "EDV/s", "lv_time_to_peak_filling_ms": "ms",
    "lv_time_to_80_percent_recovery_ms": "ms",
}  # fmt: skip


def global_values(
    counted: Mapping[int, Counted],
    phases: Phases,
    cycle: Cycle,
    *,
    rr_ms: Quantity,
    papillary: Mapping[int, Mask],
    voxel_ml: float,
    structures: Sequence[str],
    basal_rule: BasalRule,
    papillary_rule: PapillaryRule,
    density_g_per_ml: float,
    bsa_formula: BsaFormula,
    height_cm: float | None,
    weight_kg: float | None,
    segments: Sequence[Segment],
) -> dict[str, Quantity]:
    """Return all quantities by name, in the order in which a report shows them."""
    words = f"slice summation, {RULE_WORDS[basal_rule]}, {PAPILLARY_WORDS[papillary_rule]}"
    volumes = f"{words}; {_FITTED[phases.ed_by_fit, phases.es_by_fit]}"
    edv = _volume(counted, phases.ed, "end-diastole", volumes)
    esv = _volume(counted, phases.es, "end-systole", volumes)
    found: dict[str, Quantity] = {}
    if phases.ed_by_fit or phases.es_by_fit:
        ends = ((phases.ed, "end-diastole"), (phases.es, "end-systole"))
        measured = (_volume(counted, number, phase, f"{words}; as measured in its frame") for number, phase in ends)
        found = dict(zip(("lv_edv_at_frame_ml", "lv_esv_at_frame_ml"), measured, strict=True))
    if cycle.ends is not None and phases.ed_by_fit:
        edv = known(cycle.ends.edv_ml, "ml", volumes)
    if cycle.ends is not None and phases.es_by_fit:
        esv = known(cycle.ends.esv_ml, "ml", volumes)
    left = ventricle_function("lv", edv, esv)
    muscle = f"{words}; muscle of the slices as segmented" if basal_rule == "ring50" else words
    masses = mass(
        _wall(counted, phases.ed, "end-diastole", structures, muscle),
        _wall(counted, phases.es, "end-systole", structures, muscle), density_g_per_ml,
    )  # fmt: skip
    right = ventricle_function(
        "rv",
        _right(counted, phases.ed, "end-diastole", structures),
        _right(counted, phases.es, "end-systole", structures),
    )
    flow = {"rr_ms": rr_ms, **cardiac_output(left["lv_sv_ml"], rr_ms)}
    surface = surface_quantity(height_cm, weight_kg, bsa_formula)
    absolute = {**left, **flow, **masses, **right}
    return {
        **absolute,
        "lv_ed_thickest_segment_mm": _thickest(segments),
        "lv_papillary_mass_g": _papillary(papillary, phases.ed, voxel_ml * density_g_per_ml),
        "body_surface_m2": surface,
        **indexed(absolute, surface),
        **_rates(cycle, phases, edv, rr_ms),
        **found,
        **_single(counted, phases, structures, words),
    }


def _volume(counted: Mapping[int, Counted], number: int | None, phase: str, words: str) -> Quantity:
    if number is None:
        return blank("ml", f"{phase} is not known", words)
    frame = counted[number]
    return blank("ml", frame.reason, words) if frame.reason else known(frame.cavity_ml(), "ml", words)


def _wall(
    counted: Mapping[int, Counted], number: int | None, phase: str, structures: Sequence[str], words: str
) -> Quantity:
    if LV_MYOCARDIUM not in structures:
        return blank("ml", "the muscle is not segmented", words)
    if number is None:
        return blank("ml", f"{phase} is not known", words)
    frame = counted[number]
    if frame.reason or not frame.wall_ml() > 0:
        return blank("ml", frame.reason or f"no muscle is labelled at {phase}", words)
    return known(frame.wall_ml(), "ml", words)


def _right(counted: Mapping[int, Counted], number: int | None, phase: str, structures: Sequence[str]) -> Quantity:
    words = "slice summation, all slices as segmented, at the left ventricle's phases"
    if RV_CAVITY not in structures:
        return blank("ml", "the right ventricle is not segmented", words)
    if number is None:
        return blank("ml", f"{phase} is not known", words)
    volume_ml = counted[number].rv_ml()
    if not volume_ml > 0:
        return blank("ml", f"no right ventricle is labelled at {phase}", words)
    return known(volume_ml, "ml", words)


def _thickest(segments: Sequence[Segment]) -> Quantity:
    words = "largest mean thickness of a segment at end-diastole"
    values = [segment.ed_mm.value for segment in segments if segment.ed_mm.value is not None]
    return known(max(values), "mm", words) if values else blank("mm", "no segment was measured", words)


def _papillary(papillary: Mapping[int, Mask], ed_frame: int | None, voxel_g: float) -> Quantity:
    words = "dark voxels within the cavity at end-diastole"
    if ed_frame is None or ed_frame not in papillary:
        return blank("g", "papillary muscles are looked for in an image with labelled muscle", words)
    return known(int(papillary[ed_frame].sum()) * voxel_g, "g", words)


def _rates(cycle: Cycle, phases: Phases, edv_ml: Quantity, rr_ms: Quantity) -> dict[str, Quantity]:
    words = "slope of the periodic fit"
    if cycle.fit is None:
        return {name: blank(unit, cycle.reason, words) for name, unit in RATE_UNITS.items()}
    return rate_quantities(rates(cycle.fit, phases.ed_part, phases.es_part), edv_ml, rr_ms, words)


def _single(
    counted: Mapping[int, Counted], phases: Phases, structures: Sequence[str], words: str
) -> dict[str, Quantity]:
    """Return the volumes of a frame of which the phase is not known, where it is the only one."""
    if phases.ed is not None or phases.es is not None or len(counted) != 1:
        return {}
    (number,) = counted
    return {
        "lv_volume_ml": _volume(counted, number, "the phase", words),
        "lv_wall_volume_ml": _wall(counted, number, "the only frame", structures, words),
        "rv_volume_ml": derived(
            lambda ml: ml, "ml", _right(counted, number, "the only frame", structures),
            convention="slice summation, all slices as segmented",
        ),
    }  # fmt: skip
