"""What in a volume curve a reader should look at. The thresholds are choices of this project, wide of the normal heart."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from autolv.readout.curve import PeriodicFit
from autolv.schema.readout import Flag

ED_FROM_START = 0.15  # of the cycle: cines that the ECG triggers begin near end-diastole
SYSTOLE = (0.25, 0.55)  # of the cycle, from end-diastole to end-systole
ENDS_APART = 0.10  # of EDV, between the last and the first frame: arrhythmia, or late diastole was not imaged
ROUGHNESS = 0.04  # of EDV, root mean square of the frames about the fit


def curve_flags(volume_ml: ArrayLike, fit: PeriodicFit, ed_part: float, es_part: float) -> tuple[Flag, ...]:
    """Return what is unusual in a curve of shape (t,), its fit, and the parts of the cycle taken for ED and ES."""
    curve = np.asarray(volume_ml, dtype=np.float64)
    edv = float(fit.at([ed_part])[0])
    found = []
    away = min(ed_part % 1.0, 1.0 - ed_part % 1.0)
    if away > ED_FROM_START:
        found.append(Flag(check="ed_in_cycle", message=f"End-diastole lies {100 * away:.0f} % of the cycle away from its "
                          f"first frame; up to {100 * ED_FROM_START:.0f} % is usual."))  # fmt: skip
    systole = (es_part - ed_part) % 1.0
    if not SYSTOLE[0] <= systole <= SYSTOLE[1]:
        found.append(Flag(check="systole", message=f"Systole takes {100 * systole:.0f} % of the cycle; "
                          f"{100 * SYSTOLE[0]:.0f} to {100 * SYSTOLE[1]:.0f} % is usual."))  # fmt: skip
    apart = abs(float(curve[0] - curve[-1]))
    if edv > 0 and apart > ENDS_APART * edv:  # never for a NaN
        found.append(Flag(check="cycle_ends", message=f"First and last frame differ by {apart:.1f} ml, more than "
                          f"{100 * ENDS_APART:.0f} % of EDV: arrhythmia, or a part of the cycle is missing."))  # fmt: skip
    rough = float(np.sqrt(np.nanmean((curve - fit.at(np.arange(len(curve)) / len(curve))) ** 2)))
    if edv > 0 and rough > ROUGHNESS * edv:
        found.append(Flag(check="roughness", message=f"The frames lie {rough:.1f} ml about the fitted curve (RMS), more "
                          f"than {100 * ROUGHNESS:.0f} % of EDV."))  # fmt: skip
    return tuple(found)
