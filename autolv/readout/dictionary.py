"""What each quantity of a read-out is: its name for people, its unit, its decimals, and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One quantity: ``label`` for people, ``unit``, ``digits`` after the point, ``text`` in one sentence."""

    label: str
    unit: str
    digits: int
    text: str


DICTIONARY: Mapping[str, Entry] = {
    "lv_edv_ml": Entry("LV end-diastolic volume", "ml", 1, "Volume of the left ventricle's cavity at end-diastole."),
    "lv_esv_ml": Entry("LV end-systolic volume", "ml", 1, "Volume of the left ventricle's cavity at end-systole."),
    "lv_sv_ml": Entry("LV stroke volume", "ml", 1, "End-diastolic less end-systolic volume."),
    "lv_ef_percent": Entry("LV ejection fraction", "%", 1, "Stroke volume in percent of the end-diastolic volume."),
    "rr_ms": Entry("RR interval", "ms", 0, "Length of the cardiac cycle."),
    "heart_rate_per_min": Entry("Heart rate", "1/min", 0, "60 000 divided by the RR interval in ms."),
    "lv_co_l_per_min": Entry("Cardiac output", "l/min", 2, "Stroke volume times heart rate."),
    "lv_ed_mass_g": Entry("LV mass (ED)", "g", 1, "Volume of the LV's muscle at end-diastole times its density."),
    "lv_es_mass_g": Entry("LV mass (ES)", "g", 1, "The same at end-systole; should be equal, for muscle keeps its volume."),
    "lv_mass_difference_percent": Entry("Mass, ES against ED", "%", 1, "How far the second lies from the first."),
    "rv_edv_ml": Entry("RV end-diastolic volume", "ml", 1, "Volume of the RV's cavity at the LV's end-diastole."),
    "rv_esv_ml": Entry("RV end-systolic volume", "ml", 1, "Volume of the RV's cavity at the LV's end-systole."),
    "rv_sv_ml": Entry("RV stroke volume", "ml", 1, "The first less the second."),
    "rv_ef_percent": Entry("RV ejection fraction", "%", 1, "RV stroke volume in percent of its end-diastolic volume."),
    "lv_ed_thickest_segment_mm": Entry("Thickest segment (ED)", "mm", 1, "Largest mean thickness of a segment."),
    "lv_papillary_mass_g": Entry("Papillary muscles, trabeculae", "g", 1, "Mass of the dark voxels in the cavity at ED."),
    "body_surface_m2": Entry("Body surface area", "m2", 2, "From height and weight."),
    "lv_edv_index_ml_per_m2": Entry("LV EDV index", "ml/m2", 1, "LV end-diastolic volume per body surface."),
    "lv_esv_index_ml_per_m2": Entry("LV ESV index", "ml/m2", 1, "LV end-systolic volume per body surface."),
    "lv_sv_index_ml_per_m2": Entry("LV stroke index", "ml/m2", 1, "LV stroke volume per body surface."),
    "lv_cardiac_index_l_per_min_m2": Entry("Cardiac index", "l/min/m2", 2, "Cardiac output per body surface."),
    "lv_ed_mass_index_g_per_m2": Entry("LV mass index", "g/m2", 1, "LV mass at end-diastole per body surface."),
    "rv_edv_index_ml_per_m2": Entry("RV EDV index", "ml/m2", 1, "RV end-diastolic volume per body surface."),
    "rv_esv_index_ml_per_m2": Entry("RV ESV index", "ml/m2", 1, "RV end-systolic volume per body surface."),
    "rv_sv_index_ml_per_m2": Entry("RV stroke index", "ml/m2", 1, "RV stroke volume per body surface."),
    "lv_peak_ejection_ml_per_s": Entry("Peak ejection rate", "ml/s", 0, "Steepest fall of the fitted volume in systole."),
    "lv_peak_ejection_edv_per_s": Entry("Peak ejection rate", "EDV/s", 2, "The same in end-diastolic volumes."),
    "lv_time_to_peak_ejection_ms": Entry("Time to peak ejection", "ms", 0, "From end-diastole to the steepest fall."),
    "lv_peak_filling_ml_per_s": Entry("Peak filling rate", "ml/s", 0, "Steepest rise of the fitted volume in diastole."),
    "lv_peak_filling_edv_per_s": Entry("Peak filling rate", "EDV/s", 2, "The same in end-diastolic volumes."),
    "lv_time_to_peak_filling_ms": Entry("Time to peak filling", "ms", 0, "From end-systole to the steepest rise."),
    "lv_time_to_80_percent_recovery_ms": Entry("Time to 80 % recovery", "ms", 0, "Until 80 % of the stroke volume is back."),
    "lv_edv_at_frame_ml": Entry("LV EDV, frame as measured", "ml", 1, "In the frame nearest to end-diastole, without the fit."),
    "lv_esv_at_frame_ml": Entry("LV ESV, frame as measured", "ml", 1, "In the frame nearest to end-systole, without the fit."),
    "lv_volume_ml": Entry("LV volume", "ml", 1, "In the only frame, of which the phase is not known."),
    "lv_wall_volume_ml": Entry("LV muscle volume", "ml", 1, "Volume of the left ventricle's muscle in the only frame."),
    "rv_volume_ml": Entry("RV volume", "ml", 1, "Volume of the right ventricle's cavity in the only frame."),
}  # fmt: skip
# columns of readout.csv beside the quantities
OTHER_COLUMNS: Mapping[str, tuple[str, str]] = {
    "case": ("", "Name of the case, after which its files are called."),
    "patient": ("", "The patient."),
    "group": ("", "The patient's group by cases.csv; empty where it is not known."),
    "sex": ("", "F or M; empty where it is not known."),
    "age_years": ("years", "Empty where it is not known."),
    "verdict": ("", "pass, review or fail; empty where quality was not judged."),
    "ed_frame": ("", "Frame taken for end-diastole, counted from 1; empty where it is not known."),
    "es_frame": ("", "Frame taken for end-systole, counted from 1; empty where it is not known."),
    "flags": ("", "Checks of the read-out that ask for a look, separated by spaces."),
    "outside_normal": ("", "Quantities outside of a normal range that holds for the patient, separated by spaces."),
    "blank": ("", "Quantities without a value, each with the reason, separated by semicolons."),
}
# columns of readout.csv with the ends of intervals -> the quantity, and which end
BOUNDS: Mapping[str, tuple[str, int]] = {
    f"{stem}_{end}_{unit}": (f"{stem}_{unit}", side)
    for stem, unit in (("lv_edv", "ml"), ("lv_esv", "ml"), ("lv_ef", "percent"))
    for side, end in enumerate(("low", "high"))
}
