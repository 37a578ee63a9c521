"""The volume curve of a whole cine: a heart does not jump."""

from __future__ import annotations

import numpy as np

from autolv.core.labels import LV_CAVITY
from autolv.readout.curve import FEWEST_FRAMES, extremes, fit_cycle
from autolv.readout.plausibility import ROUGHNESS
from autolv.readout.quality._check import Check, Found, add
from autolv.readout.quality._example import beat, cycle
from autolv.readout.quality._heart import Heart

_FEWEST_TO_JUMP = 15  # frames: with fewer a healthy heart's volume itself bends by more than the threshold
_NO_CYCLE = "the frames are no whole cycle"


def _find_rough(check: Check, heart: Heart) -> Found:
    if not heart.whole_cycle:
        return _NO_CYCLE
    if len(heart.frames) < FEWEST_FRAMES:
        return f"it takes {FEWEST_FRAMES} frames"
    curve = np.array([frame.cavity_ml for frame in heart.frames])
    if not curve.max() > 0:
        return "there is no LV cavity"
    fit = fit_cycle(curve)
    apart = curve - fit.at(np.arange(len(curve)) / len(curve))
    rough = 100 * float(np.sqrt(np.mean(apart**2))) / extremes(fit).edv_ml
    if not check.beyond(rough):
        return []
    message = f"The LV's volume scatters about a smooth curve by {rough:.1f} % of the end-diastolic volume (RMS)"
    return [check.finding(message, value=rough)]


def _find_jump(check: Check, heart: Heart) -> Found:
    if not heart.whole_cycle:
        return _NO_CYCLE
    if len(heart.frames) < _FEWEST_TO_JUMP:
        return f"it takes {_FEWEST_TO_JUMP} frames"
    curve = np.array([frame.cavity_ml for frame in heart.frames])
    edv = float(curve.max())
    found = []
    for _ in curve:  # the worst first, then put in the middle: a jump does not count against its neighbours
        middles = (np.roll(curve, 1) + np.roll(curve, -1)) / 2
        apart = 100 * np.abs(curve - middles) / edv if edv > 0 else np.zeros(len(curve))
        worst = int(apart.argmax())
        if not check.beyond(apart[worst]):
            break
        frame = heart.frames[worst].number
        message = (f"The LV's volume in frame {frame} lies {apart[worst]:.0f} % of the end-diastolic volume beside that of the "
                   "frames before and after it")  # fmt: skip
        found.append(check.finding(message, value=apart[worst], frame=frame))
        curve[worst] = middles[worst]
    return sorted(found, key=lambda finding: finding.frame or 0)


def _uneven() -> list[float]:
    return [moment + (0.15 if frame % 2 else -0.1) for frame, moment in enumerate(beat(20))]


def _one_off() -> list[float]:
    contractions = beat(20)
    contractions[14] += 0.6
    return contractions


add(Check(
    name="curve_roughness", level="review", threshold=100 * ROUGHNESS, unit="%", structure=LV_CAVITY, find=_find_rough,
    source="a choice of this project, as for the curve's flags: the frames about a periodic fit of five harmonics",
    meaning="The LV's volume does not change smoothly over the cycle.", example=lambda: cycle(_uneven()),
))  # fmt: skip
add(Check(
    name="frame_jump", level="review", threshold=12.0, unit="%", structure=LV_CAVITY, find=_find_jump,
    source="a choice of this project: a healthy heart's curve of 15 frames bends by up to about 8 % at the ends of systole",
    meaning="One frame's LV volume lies far beside that of the frames before and after it.",
    example=lambda: cycle(_one_off()),
))  # fmt: skip
