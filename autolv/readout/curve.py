"""The volume over one cardiac cycle: a periodic fit, its extremes, and how fast the ventricle empties and fills."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
HARMONICS = 5  # keeps the curve's shape and leaves the frames' noise out; raw extremes read EF too high
FEWEST_FRAMES = 8  # of a cycle that is to be fitted
_STEPS = 2000  # points of the cycle among which extremes and steepest places are looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicFit:
    """A curve over one cycle, in ml: ``mean`` + sum of ``cosine[k-1]`` cos(2 pi k u) + ``sine[k-1]`` sin(2 pi k u)."""

    mean: float
    cosine: Floats
    sine: Floats

    def at(self, part: ArrayLike) -> Floats:
        """Return the volume in ml at parts (0 to 1) of the cycle."""
        angles = _angles(part, len(self.cosine))
        return np.asarray(self.mean + np.cos(angles) @ self.cosine + np.sin(angles) @ self.sine)

    def slope(self, part: ArrayLike) -> Floats:
        """Return the change in ml per cycle at parts (0 to 1) of the cycle."""
        angles = _angles(part, len(self.cosine))
        order = 2 * math.pi * np.arange(1, len(self.cosine) + 1)
        return np.asarray(np.cos(angles) @ (order * self.sine) - np.sin(angles) @ (order * self.cosine))


@dataclass(frozen=True, slots=True, kw_only=True)
class Extremes:
    """End-diastole and end-systole of a fit, as parts (0 to 1) of the cycle, and the volumes there in ml."""

    ed_part: float
    es_part: float
    edv_ml: float
    esv_ml: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How fast a ventricle empties and fills, in ml per cycle, and when, as parts of the cycle after end-diastole.

    ``recovery_part`` is the time from end-systole until 80 % of the stroke volume has come back.
    """

    ejection: float
    ejection_part: float
    filling: float
    filling_part: float
    recovery_part: float


def fit_cycle(volume_ml: ArrayLike) -> PeriodicFit:
    """Return the periodic least-squares fit of ``volume_ml``, shape (t,): frames evenly over one whole cycle.

    NaNs are passed over. There are ``HARMONICS`` harmonics, fewer where there are not twice as many frames as unknowns
    would take. Raises ``ValueError`` for fewer than ``FEWEST_FRAMES`` volumes.
    """
    curve = np.asarray(volume_ml, dtype=np.float64)
    seen = np.isfinite(curve)
    if curve.ndim != 1 or seen.sum() < FEWEST_FRAMES:
        raise ValueError(f"a cycle of at least {FEWEST_FRAMES} volumes is needed, got {int(seen.sum())}")
    harmonics = min(HARMONICS, (int(seen.sum()) - 1) // 3)
    angles = _angles(np.arange(len(curve)) / len(curve), harmonics)
    columns = np.concatenate([np.ones((len(curve), 1)), np.cos(angles), np.sin(angles)], axis=1)
    found = np.linalg.lstsq(columns[seen], curve[seen], rcond=None)[0]
    return PeriodicFit(mean=float(found[0]), cosine=found[1 : harmonics + 1], sine=found[harmonics + 1 :])


def extremes(fit: PeriodicFit) -> Extremes:
    """Return where a fit is largest (end-diastole) and smallest (end-systole)."""
    parts = np.arange(_STEPS) / _STEPS
    values = fit.at(parts)
    largest, smallest = int(values.argmax()), int(values.argmin())
    return Extremes(
        ed_part=float(parts[largest]), es_part=float(parts[smallest]), edv_ml=float(values[largest]),
        esv_ml=float(values[smallest]),
    )  # fmt: skip


def rates(fit: PeriodicFit, ed_part: float, es_part: float) -> Rates:
    """Return the steepest fall between end-diastole and end-systole, the steepest rise after it, and their times."""
    systole = (es_part - ed_part) % 1.0
    after_ed = np.arange(_STEPS) / _STEPS
    slopes, values = fit.slope(ed_part + after_ed), fit.at(ed_part + after_ed)
    falling = after_ed <= systole
    steepest_fall = int(np.where(falling, slopes, np.inf).argmin())
    steepest_rise = int(np.where(falling, -np.inf, slopes).argmax())
    edv, esv = float(fit.at([ed_part])[0]), float(fit.at([es_part])[0])
    recovered = ~falling & (values >= esv + 0.8 * (edv - esv))
    first = float(after_ed[recovered.argmax()]) - systole if recovered.any() else math.nan
    return Rates(
        ejection=-float(slopes[steepest_fall]), ejection_part=float(after_ed[steepest_fall]),
        filling=float(slopes[steepest_rise]), filling_part=float(after_ed[steepest_rise]) - systole,
        recovery_part=first,
    )  # fmt: skip


def nearest_frame(part: float, frames: int) -> int:
    """Return the 0-based frame, of ``frames`` evenly over the cycle, that lies nearest to a part (0 to 1) of it."""
    return round(part * frames) % frames


def _angles(part: ArrayLike, harmonics: int) -> Floats:
    """Return 2 pi k u, shape (u, k), for k = 1 to ``harmonics``."""
    return 2 * math.pi * np.asarray(part, dtype=np.float64)[:, None] * np.arange(1, harmonics + 1)
