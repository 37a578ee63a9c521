"""A phantom's truth record: what follows from its geometry by formula."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from autolv.datasets._phantom_heart import (
    DENSITY_G_PER_ML,
    Heart,
    State,
    contraction,
    insertion_angles,
    myocardium_ml,
    rv_ml,
    wall_mm,
)
from autolv.datasets._phantom_render import Pose

# AHA segments (Cerqueira 2002) by the angles from the RV's direction, towards anterior, that they lie between
_SIX = {1: (60, 120), 2: (0, 60), 3: (-60, 0), 4: (-120, -60), 5: (-180, -120), 6: (120, 180)}
_FOUR = {13: (45, 135), 14: (-45, 45), 15: (-135, -45), 16: (135, 225)}


def ejection_rates(heart: Heart, systole: float, rr_ms: float) -> tuple[float, float]:
    """Return the peak ejection and filling rates in ml/s: the first is pi SV / (2 t_systole)."""
    stroke, rr_s = heart.edv_ml - heart.esv_ml, rr_ms / 1000.0
    time = np.linspace(systole, 1.0, 20001)
    filling = -np.diff(contraction(time[:-1], systole)).min() / (time[1] - time[0])
    return math.pi * stroke / (2 * systole * rr_s), float(filling) * stroke / rr_s


def walls(heart: Heart, state: State) -> dict[str, float]:
    """Return the mean radial wall thickness of AHA segments 1 to 16, at the middle of each third of the length."""
    found = {}
    for level, sectors, first in ((5 / 6, _SIX, 0), (1 / 2, _SIX, 6), (1 / 6, _FOUR, 0)):
        z = level * state.length_mm - state.c_mm
        inner = state.a_mm * math.sqrt(max(0.0, 1 - (z / state.c_mm) ** 2))
        outer = math.sqrt(max(0.0, 1 - (z / state.c_epi_mm) ** 2))
        for segment, (low, high) in sectors.items():
            angles = np.radians(np.linspace(low, high, 121))
            thickness = (state.a_mm + wall_mm(heart, state, angles)) * outer - inner
            found[segment + first] = float(thickness.mean())
    return {str(segment): round(found[segment], 3) for segment in sorted(found)}


def truth_fields(
    heart: Heart, cycle: Sequence[State], ends: tuple[State, State], pose: Pose, *, systole: float, rr_ms: float
) -> dict[str, object]:
    """Return the fields of ``PhantomTruth`` that follow from the heart, its states over the cycle, and its pose."""
    ed, es = ends
    emptying, filling = ejection_rates(heart, systole, rr_ms)
    stroke = heart.edv_ml - heart.esv_ml
    rv_ed, rv_es = rv_ml(heart, ed, 1.5), rv_ml(heart, es, 1.5)
    middle_mm, upright = pose.apex_mm - heart.length_mm / 2, math.cos(pose.tilt_rad)
    anterior, inferior = (_in_image(angle, heart, pose) for angle in insertion_angles(heart, ed))
    return {
        "rr_ms": rr_ms,
        "systole_fraction": systole,
        "edv_ml": heart.edv_ml,
        "esv_ml": heart.esv_ml,
        "sv_ml": stroke,
        "ef_percent": 100.0 * stroke / heart.edv_ml,
        "mass_g": DENSITY_G_PER_ML * myocardium_ml(heart, ed),
        "peak_ejection_ml_per_s": emptying,
        "peak_filling_ml_per_s": filling,
        "volume_ml": tuple(heart.edv_ml - stroke * state.contraction for state in cycle),
        "rv_edv_ml": rv_ed,
        "rv_esv_ml": rv_es,
        "rv_ef_percent": 100.0 * (rv_ed - rv_es) / rv_ed,
        "ed_diameter_mm": 2 * ed.a_mm,
        "es_diameter_mm": 2 * es.a_mm,
        "wall_ed_mm": walls(heart, ed),
        "wall_es_mm": walls(heart, es),
        "base_plane_mm": tuple(middle_mm - (state.length_mm - heart.length_mm / 2) * upright for state in cycle),
        "apex_mm": middle_mm + heart.length_mm / 2 * upright,
        "anterior_insertion_degrees": anterior,
        "inferior_insertion_degrees": inferior,
        "rv_direction_degrees": math.degrees(pose.rv_direction_rad) % 360.0,
        "tilt_degrees": math.degrees(pose.tilt_rad),
        "axis_centre_mm": pose.centre_mm,
        "slice_shifts_mm": tuple((float(y), float(x)) for y, x in pose.shifts_mm),
    }


def body(rng: np.random.Generator, edv_ml: float, edv_index: tuple[float, float]) -> tuple[float, float]:
    """Return height (cm) and weight (kg) of a body whose surface (Mosteller 1987) suits the ventricle."""
    surface_m2 = min(2.4, max(1.45, edv_ml / float(rng.uniform(*edv_index))))
    height = 165.0 + 28.0 * (surface_m2 - 1.85) + float(rng.uniform(-6, 6))
    return round(height, 0), round(3600.0 * surface_m2**2 / height, 0)


def _in_image(angle_rad: float, heart: Heart, pose: Pose) -> float:
    """Return an angle from the RV's direction (towards anterior) as an angle in the image, in degrees (0 to 360)."""
    stretch = math.sqrt(heart.ellipticity)
    seen = math.atan2(math.sin(angle_rad) * stretch, math.cos(angle_rad) / stretch)
    return math.degrees(seen + pose.rv_direction_rad) % 360.0
