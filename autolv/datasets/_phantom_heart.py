"""The phantom's heart: how large it is in each of ACDC's groups, how it moves, and what its volumes are.

The LV cavity is an ellipsoid of revolution with semi-axes a (radial) and c (long), cut by the base plane at the height
BETA c above its centre; the apex lies at 0 and the base plane at L = c (1 + BETA). The epicardium is the ellipsoid with
a + w and c + 0.6 w about the same centre, cut by the same plane. The wall is incompressible: its thickness w follows from a
constant volume, so that it thickens as the cavity shrinks. Lengths in mm, volumes in ml.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BETA = 0.35
CUT = 2 / 3 + BETA - BETA**3 / 3  # volume of the cut ellipsoid in units of pi a^2 c: 1.0024
APEX_WALL = 0.6  # thickness of the wall at the apex in units of the radial one
DENSITY_G_PER_ML = 1.05  # of myocardium
_ANGLES = np.linspace(-math.pi, math.pi, 720, endpoint=False)
_RV_CENTRE, _RV_HEIGHT, _RV_SEMI_LENGTH = 0.75, 0.75, 0.62  # in units of the epicardial radius, of L, and of L
_RV_TIP = 0.35  # how far behind the LV's axis a large RV's ellipsoid may reach, in units of the epicardial radius


@dataclass(frozen=True, slots=True, kw_only=True)
class Heart:
    """One heart. ``wall_mm`` is the thickest wall at end-diastole.

    The wall at angle θ from the RV's direction (positive towards anterior) is w(t) ``thickening``(θ) + ``fixed_mm``(θ): the
    second part, an infarct, does not thicken. ``septal`` is how much of the wall is a septal bump (HCM).
    """

    edv_ml: float
    esv_ml: float
    wall_mm: float
    length_mm: float
    shortening: float
    rv_edv_ml: float
    rv_esv_ml: float
    insertion_rad: float
    septal: float = 0.0
    infarct_rad: tuple[float, float] | None = None  # centre and half width
    infarct_mm: float = 0.0
    papillary_mm: float = 4.5
    rim_mm: float = 3.0
    ellipticity: float = 1.0

    def thickening(self, angle_rad: Floats) -> Floats:
        """Return the part of the wall that thickens, in units of w, at angles from the RV's direction."""
        bump = np.exp(2.5 * (np.cos(angle_rad - math.radians(20)) - 1))  # widest over the anterior septum
        return (1 - self.septal + self.septal * bump) * (1 - self._infarct(angle_rad))

    def fixed_mm(self, angle_rad: Floats) -> Floats:
        """Return the part of the wall that does not thicken."""
        return self.infarct_mm * self._infarct(angle_rad)

    def _infarct(self, angle_rad: Floats) -> Floats:
        """Return 1 within the infarct, 0 outside, with an edge of 15 degrees."""
        if self.infarct_rad is None:
            return np.zeros_like(angle_rad)
        centre, half = self.infarct_rad
        away = np.abs(np.angle(np.exp(1j * (angle_rad - centre))))
        edge = math.radians(15)
        inside: Floats = 0.5 * (1 + np.cos(math.pi * np.clip((away - half) / edge, 0, 1)))
        return inside


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A heart at one moment: ``shape`` of the LV (a, c), its wall w, and the RV's ellipsoid."""

    length_mm: float
    a_mm: float
    c_mm: float
    w_mm: float
    c_epi_mm: float
    contraction: float
    rv_p_mm: float = 0.0  # centre, towards the septum
    rv_a_mm: float = 0.0
    rv_b_mm: float = 0.0
    rv_c_mm: float = 0.0
    rv_z_mm: float = 0.0


def cavity_axes(volume_ml: float, length_mm: float) -> tuple[float, float]:
    """Return (a, c) of the cut ellipsoid of this volume and this length from apex to base plane."""
    c = length_mm / (1 + BETA)
    return math.sqrt(volume_ml * 1000.0 / (math.pi * c * CUT)), c


def contraction(time: Floats, systole: float) -> Floats:
    """Return how far the heart is contracted (0 at end-diastole, 1 at end-systole) at times in units of the cycle.

    A raised cosine during systole; then early (70 %) and atrial (30 %) filling.
    """
    time = np.asarray(time, dtype=np.float64) % 1.0
    u = (time - systole) / (1 - systole)
    relaxed = 1 - 0.7 * _smoothstep(u / 0.45) - 0.3 * _smoothstep((u - 0.72) / 0.28)
    return np.where(time < systole, 0.5 * (1 - np.cos(math.pi * time / systole)), relaxed)


def states(heart: Heart, contractions: Floats) -> list[State]:
    """Return the heart at each degree of contraction."""
    first = _lv_state(heart, 0.0, None)
    target_ml = myocardium_ml(heart, first)
    ends = [_with_rv_volume(heart, _lv_state(heart, f, target_ml), v)
            for f, v in ((0.0, heart.rv_edv_ml), (1.0, heart.rv_esv_ml))]  # fmt: skip
    sizes = ends[0].rv_a_mm, ends[1].rv_a_mm
    return [
        _with_rv(heart, _lv_state(heart, float(f), target_ml), sizes[0] + (sizes[1] - sizes[0]) * float(f))
        for f in contractions
    ]


def myocardium_ml(heart: Heart, state: State) -> float:
    """Return the volume of the wall: that of the cut epicardium less the cavity's."""
    cavity = math.pi * state.a_mm**2 * state.c_mm * CUT
    return (_epicardium_mm3(heart, state.a_mm, state.c_mm, state.w_mm) - cavity) / 1000.0


def wall_mm(heart: Heart, state: State, angle_rad: Floats) -> Floats:
    """Return the wall's thickness where the heart is widest, at angles from the RV's direction."""
    return state.w_mm * heart.thickening(angle_rad) + heart.fixed_mm(angle_rad)


def in_rv(
    state: State, p: NDArray[Any], q: NDArray[Any], z: NDArray[Any], grow_mm: float = 0.0
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which points lie in the RV's ellipsoid (the LV not yet taken out), and in the one grown by ``grow_mm``."""
    centre = (0.6 * state.rv_p_mm / state.rv_z_mm) * z + 0.4 * state.rv_p_mm  # it leans against the LV at the apex
    p2, q2, z2 = (p - centre) ** 2, q * q, (z - state.rv_z_mm) ** 2

    def within(more: float) -> NDArray[np.bool_]:
        a, b, c = state.rv_a_mm + more, state.rv_b_mm + more, state.rv_c_mm + more
        return np.asarray(p2 * (1 / a**2) + q2 * (1 / b**2) + z2 * (1 / c**2) <= 1)

    inside = within(0.0)
    return inside, (within(grow_mm) if grow_mm else inside)


def rv_ml(heart: Heart, state: State, step_mm: float = 2.0) -> float:
    """Return the RV's volume below the base plane, by sampling every ``step_mm``."""
    reach = 1.2 * state.rv_p_mm + state.rv_a_mm
    p = np.arange(-state.a_mm, reach, step_mm) + step_mm / 2
    q = np.arange(0.0, state.rv_b_mm, step_mm) + step_mm / 2  # one half; the walls of both are averaged
    steps = max(1, round(state.length_mm / step_mm))  # slabs that end at the base plane exactly
    z = (np.arange(steps) + 0.5) * state.length_mm / steps
    pp, qq, zz = np.meshgrid(p, q, z, indexing="ij", sparse=True)
    inside, _ = in_rv(state, pp, qq, zz)
    total = 0.0
    for side in (1.0, -1.0):
        radius = state.a_mm + wall_mm(heart, state, np.arctan2(side * qq, pp))
        lv = (pp**2 + qq**2) / radius**2 + ((zz - state.c_mm) / state.c_epi_mm) ** 2 <= 1
        total += float((inside & ~lv).sum())
    return total * step_mm**2 * (state.length_mm / steps) / 1000.0


def insertion_angles(heart: Heart, state: State) -> tuple[float, float]:
    """Return where the RV meets the LV at half the length: (anterior, inferior) angles from the RV's direction, rad."""
    z = state.length_mm / 2
    level = math.sqrt(max(0.0, 1 - ((z - state.c_mm) / state.c_epi_mm) ** 2))
    angles = np.linspace(0.0, math.pi, 3601)
    found = []
    for side in (1.0, -1.0):
        radius = (state.a_mm + wall_mm(heart, state, side * angles)) * level
        touching, _ = in_rv(state, radius * np.cos(angles), radius * np.sin(angles), np.full_like(angles, z))
        found.append(side * float(angles[touching].max(initial=0.0)))
    return found[0], found[1]


def _lv_state(heart: Heart, f: float, target_ml: float | None) -> State:
    """Return the LV at contraction ``f``; w is solved for a wall of ``target_ml`` unless that is ``None``."""
    length = heart.length_mm * (1 - heart.shortening * f)
    a, c = cavity_axes(heart.edv_ml - (heart.edv_ml - heart.esv_ml) * f, length)
    w = heart.wall_mm
    if target_ml is not None:
        target = target_ml * 1000.0 + math.pi * a**2 * c * CUT
        low, high = 0.0, 8.0 * heart.wall_mm
        for _ in range(50):
            w = 0.5 * (low + high)
            low, high = (w, high) if _epicardium_mm3(heart, a, c, w) < target else (low, w)
    return State(length_mm=length, a_mm=a, c_mm=c, w_mm=w, contraction=f, c_epi_mm=c + APEX_WALL * _mean_wall(heart, w))


def _mean_wall(heart: Heart, w: float) -> float:
    return float((w * heart.thickening(_ANGLES) + heart.fixed_mm(_ANGLES)).mean())


def _epicardium_mm3(heart: Heart, a: float, c: float, w: float) -> float:
    """Return the volume of the cut epicardium: the integral over z of the section, whose area is pi mean(radius²)."""
    wall = w * heart.thickening(_ANGLES) + heart.fixed_mm(_ANGLES)
    c_epi = c + APEX_WALL * float(wall.mean())
    height = BETA * c
    return math.pi * float(((a + wall) ** 2).mean()) * (height - height**3 / (3 * c_epi**2) + 2 * c_epi / 3)


def _with_rv(heart: Heart, state: State, size_mm: float) -> State:
    """Return ``state`` with an RV of semi-axis ``size_mm`` that meets the LV at the heart's insertion angle."""
    radius = state.a_mm + _mean_wall(heart, state.w_mm)
    centre = max(_RV_CENTRE * radius, size_mm - _RV_TIP * radius)
    along = (radius * math.cos(heart.insertion_rad) - centre) / size_mm
    return replace(
        state,
        rv_p_mm=centre,
        rv_a_mm=size_mm,
        rv_b_mm=radius * math.sin(heart.insertion_rad) / math.sqrt(max(0.05, 1 - along**2)),
        rv_c_mm=_RV_SEMI_LENGTH * state.length_mm,
        rv_z_mm=_RV_HEIGHT * state.length_mm,
    )


def _with_rv_volume(heart: Heart, state: State, volume_ml: float) -> State:
    low, high = 8.0, 120.0
    for _ in range(18):
        size = 0.5 * (low + high)
        low, high = (size, high) if rv_ml(heart, _with_rv(heart, state, size), 2.5) < volume_ml else (low, size)
    return _with_rv(heart, state, 0.5 * (low + high))


def _smoothstep(x: Floats) -> Floats:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3 - 2 * x)
