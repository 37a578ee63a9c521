"""Global function: from end-diastolic and end-systolic volumes to stroke volume, EF, output, mass, and indexed values."""

from __future__ import annotations

import math
from collections.abc import Mapping

from autolv.readout.quantities import derived
from autolv.readout.volumes import MYOCARDIAL_DENSITY_G_PER_ML, ejection_fraction_percent, myocardial_mass_g
from autolv.schema.readout import Quantity

MS_PER_MIN = 60_000.0
# absolute quantity -> (its indexed name, unit)
INDEXED: Mapping[str, tuple[str, str]] = {
    "lv_edv_ml": ("lv_edv_index_ml_per_m2", "ml/m2"),
    "lv_esv_ml": ("lv_esv_index_ml_per_m2", "ml/m2"),
    "lv_sv_ml": ("lv_sv_index_ml_per_m2", "ml/m2"),
    "lv_co_l_per_min": ("lv_cardiac_index_l_per_min_m2", "l/min/m2"),
    "lv_ed_mass_g": ("lv_ed_mass_index_g_per_m2", "g/m2"),
    "rv_edv_ml": ("rv_edv_index_ml_per_m2", "ml/m2"),
    "rv_esv_ml": ("rv_esv_index_ml_per_m2", "ml/m2"),
    "rv_sv_ml": ("rv_sv_index_ml_per_m2", "ml/m2"),
}


def ventricle_function(prefix: str, edv_ml: Quantity, esv_ml: Quantity) -> dict[str, Quantity]:
    """Return EDV, ESV, stroke volume and ejection fraction of the ventricle ``prefix`` (``"lv"``, ``"rv"``) by name."""
    convention = edv_ml.convention
    return {
        f"{prefix}_edv_ml": edv_ml,
        f"{prefix}_esv_ml": esv_ml,
        f"{prefix}_sv_ml": derived(lambda edv, esv: edv - esv, "ml", edv_ml, esv_ml, convention=convention),
        f"{prefix}_ef_percent": derived(ejection_fraction_percent, "%", edv_ml, esv_ml, convention=convention),
    }


def cardiac_output(sv_ml: Quantity, rr_ms: Quantity) -> dict[str, Quantity]:
    """Return heart rate and cardiac output; blank where the RR interval is not known."""
    rate = derived(lambda rr: MS_PER_MIN / rr, "1/min", rr_ms, convention=rr_ms.convention)
    output = derived(lambda sv, per_min: sv * per_min / 1000.0, "l/min", sv_ml, rate, convention=rr_ms.convention)
    return {"heart_rate_per_min": rate, "lv_co_l_per_min": output}


def mass(
    ed_wall_ml: Quantity, es_wall_ml: Quantity, density_g_per_ml: float = MYOCARDIAL_DENSITY_G_PER_ML
) -> dict[str, Quantity]:
    """Return the LV's mass at end-diastole, at end-systole, and how far the second lies from the first in percent of it.

    The wall is incompressible, so a large difference speaks against one of the two segmentations.
    """

    def grams(volume: Quantity) -> Quantity:
        convention = f"{volume.convention}; {density_g_per_ml:g} g/ml".removeprefix("; ")
        return derived(lambda ml: myocardial_mass_g(ml, density_g_per_ml), "g", volume, convention=convention)

    diastolic, systolic = grams(ed_wall_ml), grams(es_wall_ml)
    return {
        "lv_ed_mass_g": diastolic,
        "lv_es_mass_g": systolic,
        "lv_mass_difference_percent": derived(
            lambda ed, es: 100.0 * (es - ed) / ed if ed > 0 else math.nan, "%", diastolic, systolic,
            convention="(ES mass - ED mass) / ED mass",
        ),
    }  # fmt: skip


def indexed(quantities: Mapping[str, Quantity], surface_m2: Quantity) -> dict[str, Quantity]:
    """Return those of ``quantities`` that are indexed by custom (``INDEXED``) per m² of body surface."""
    found = {}
    for name, (new, unit) in INDEXED.items():
        if name in quantities:
            convention = f"{quantities[name].convention}; {surface_m2.convention}".removeprefix("; ")
            found[new] = derived(lambda a, b: a / b, unit, quantities[name], surface_m2, convention=convention)
    return found
