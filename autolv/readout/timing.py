"""How long a cycle takes, as far as it can be trusted, and the rates of emptying and filling that follow."""

from __future__ import annotations

from autolv.readout.curve import Rates
from autolv.readout.function import MS_PER_MIN
from autolv.readout.quantities import blank, derived, known
from autolv.schema.readout import Quantity

PLAUSIBLE_RR_MS = (300.0, 2000.0)  # 200 to 30 beats per minute


def rr_quantity(rr_ms: float | None, frame_time_ms: float | None, frames: int) -> Quantity:
    """Return the RR interval: the one given, else the file's frame time times the ``frames`` of a whole cycle.

    Blank where neither is known, or where the product is no plausible cycle (as when the unit of the file is wrong).
    """
    low, high = PLAUSIBLE_RR_MS
    if rr_ms is not None:
        if not low <= rr_ms <= high:
            raise ValueError(f"an RR interval of {rr_ms:g} ms is not plausible ({low:g} to {high:g} ms are)")
        return known(rr_ms, "ms", "RR interval as given")
    if frame_time_ms is None:
        return blank("ms", "neither the RR interval nor a plausible frame time is known")
    if frames < 2:
        return blank("ms", "the RR interval is not known, and one frame does not tell it")
    cycle = frame_time_ms * frames
    words = f"{frames} frames of {frame_time_ms:.4g} ms by the file"
    if not low <= cycle <= high:
        return blank("ms", f"{words} make {cycle:.4g} ms, which is no plausible cycle")
    return known(cycle, "ms", words)


def rate_quantities(rates: Rates, edv_ml: Quantity, rr_ms: Quantity, convention: str) -> dict[str, Quantity]:
    """Return peak ejection and filling rates, absolute and in EDV per second, with their times; blank without ``rr_ms``.

    The time to peak ejection counts from end-diastole, the others from end-systole.
    """
    emptying, filling = known(rates.ejection, "ml/cycle"), known(rates.filling, "ml/cycle")

    def per_s(rate: Quantity) -> Quantity:
        return derived(lambda r, rr: 1000.0 * r / rr, "ml/s", rate, rr_ms, convention=convention)

    def in_edv(rate: Quantity) -> Quantity:
        return derived(lambda r, rr, edv: 1000.0 * r / rr / edv if edv > 0 else float("nan"), "EDV/s", rate, rr_ms,
                       edv_ml, convention=convention)  # fmt: skip

    def time_ms(part: float, since: str) -> Quantity:
        words = f"{convention}; from {since}"
        if part != part:  # NaN
            return blank("ms", "80 % of the stroke volume did not come back within the cycle", words)
        return derived(lambda p, rr: p * rr, "ms", known(part, "cycles"), rr_ms, convention=words)

    return {
        "lv_peak_ejection_ml_per_s": per_s(emptying),
        "lv_peak_ejection_edv_per_s": in_edv(emptying),
        "lv_time_to_peak_ejection_ms": time_ms(rates.ejection_part, "end-diastole"),
        "lv_peak_filling_ml_per_s": per_s(filling),
        "lv_peak_filling_edv_per_s": in_edv(filling),
        "lv_time_to_peak_filling_ms": time_ms(rates.filling_part, "end-systole"),
        "lv_time_to_80_percent_recovery_ms": time_ms(rates.recovery_part, "end-systole"),
    }


def rr_of_rate(beats_per_min: float) -> float:
    """Return the RR interval in ms of a heart rate."""
    return MS_PER_MIN / beats_per_min
