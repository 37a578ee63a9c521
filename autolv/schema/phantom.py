"""What is known of a phantom without measuring it."""

from __future__ import annotations

from typing import Literal

from autolv.schema.record import Record


class PhantomTruth(Record):
    """Analytic truth of one phantom. Frames are counted from 1, as ACDC does; angles are in the image plane.

    Angles run from the array's +x towards +y, in degrees, seen from the LV's axis. ``base_plane_mm`` is, for each frame of
    the cycle, where the base plane cuts the LV's axis, along the stack from the centre of slice 0; ``apex_mm`` likewise.
    ``wall_ed_mm`` and ``wall_es_mm`` hold the radial wall thickness per AHA segment (1 to 16). ``slice_shifts_mm`` are (y, x).
    Volumes of the RV are integrated numerically, all others follow from closed formulas.
    """

    version: Literal[1] = 1
    group: str
    preset: str
    frames: int
    ed_frame: int
    es_frame: int
    rr_ms: float
    systole_fraction: float
    edv_ml: float
    esv_ml: float
    sv_ml: float
    ef_percent: float
    mass_g: float
    peak_ejection_ml_per_s: float
    peak_filling_ml_per_s: float
    volume_ml: tuple[float, ...]
    rv_edv_ml: float
    rv_esv_ml: float
    rv_ef_percent: float
    ed_diameter_mm: float
    es_diameter_mm: float
    wall_ed_mm: dict[str, float]
    wall_es_mm: dict[str, float]
    base_plane_mm: tuple[float, ...]
    apex_mm: float
    anterior_insertion_degrees: float
    inferior_insertion_degrees: float
    rv_direction_degrees: float
    tilt_degrees: float
    mirrored: bool
    axis_centre_mm: tuple[float, float]
    slice_shifts_mm: tuple[tuple[float, float], ...]
    thickness_mm: float
    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    blood_snr: float | None
    height_cm: float
    weight_kg: float
    structures: tuple[str, ...]
