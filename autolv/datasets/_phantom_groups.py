"""How large the hearts of ACDC's five groups are, and one of them drawn at random."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from autolv.core.errors import DataError
from autolv.datasets._phantom_heart import Heart


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Ranges (low, high) of one of ACDC's groups; ``rv_*`` of the right ventricle."""

    edv_ml: tuple[float, float]
    ef_percent: tuple[float, float]
    wall_mm: tuple[float, float]
    length_mm: tuple[float, float]
    shortening: tuple[float, float]
    rv_edv_ml: tuple[float, float]
    rv_ef_percent: tuple[float, float]
    edv_index: tuple[float, float]  # ml per m² of body surface, to give each patient a body


# LV ranges after ACDC's definitions of its groups (Bernard 2018); RV: 1.35 times the normal volume in group RV
GROUPS: Mapping[str, Group] = {
    "NOR": Group(
        edv_ml=(120, 180), ef_percent=(55, 70), wall_mm=(7, 9.5), length_mm=(85, 98), shortening=(0.14, 0.18),
        rv_edv_ml=(125, 180), rv_ef_percent=(50, 65), edv_index=(65, 90),
    ),
    "DCM": Group(
        edv_ml=(200, 320), ef_percent=(15, 38), wall_mm=(7, 9), length_mm=(95, 110), shortening=(0.05, 0.09),
        rv_edv_ml=(130, 200), rv_ef_percent=(30, 50), edv_index=(105, 150),
    ),
    "HCM": Group(
        edv_ml=(100, 150), ef_percent=(60, 75), wall_mm=(13, 22), length_mm=(85, 95), shortening=(0.09, 0.13),
        rv_edv_ml=(105, 155), rv_ef_percent=(55, 68), edv_index=(55, 80),
    ),
    "MINF": Group(
        edv_ml=(150, 240), ef_percent=(20, 40), wall_mm=(8, 9.5), length_mm=(90, 102), shortening=(0.06, 0.11),
        rv_edv_ml=(120, 175), rv_ef_percent=(42, 58), edv_index=(80, 120),
    ),
    "RV": Group(
        edv_ml=(110, 160), ef_percent=(50, 65), wall_mm=(7, 9), length_mm=(85, 98), shortening=(0.12, 0.16),
        rv_edv_ml=(190, 260), rv_ef_percent=(24, 38), edv_index=(60, 85),
    ),
}  # fmt: skip


def draw_heart(rng: np.random.Generator, group: str, given: Mapping[str, float | None]) -> Heart:
    """Return a heart of ``group``; ``given`` fixes edv_ml, ef_percent, wall_mm, length_mm, shortening, ellipticity."""
    if group not in GROUPS:
        raise DataError(f"there is no group {group!r} of phantoms.", remedy=f"Use one of {', '.join(GROUPS)}.")
    ranges = GROUPS[group]

    def take(name: str, limits: tuple[float, float]) -> float:
        drawn = float(rng.uniform(*limits))  # drawn in any case, so that fixing one value leaves the others alone
        value = given.get(name)
        return drawn if value is None else float(value)

    edv = take("edv_ml", ranges.edv_ml)
    ef = take("ef_percent", ranges.ef_percent)
    rv_edv = float(rng.uniform(*ranges.rv_edv_ml))
    heart = Heart(
        edv_ml=edv,
        esv_ml=edv * (1 - ef / 100.0),
        wall_mm=take("wall_mm", ranges.wall_mm),
        length_mm=take("length_mm", ranges.length_mm),
        shortening=take("shortening", ranges.shortening),
        ellipticity=take("ellipticity", (0.9, 1.0)),
        rv_edv_ml=rv_edv,
        rv_esv_ml=rv_edv * (1 - float(rng.uniform(*ranges.rv_ef_percent)) / 100.0),
        insertion_rad=math.radians(float(rng.uniform(52, 66))),
        papillary_mm=float(rng.uniform(4, 5)),
        rim_mm=float(rng.uniform(2, 4)),
    )
    septal, centre, half, thin = rng.uniform((0.35, -math.pi, 30, 4), (0.5, math.pi, 70, 6)).tolist()
    if group == "HCM":
        return replace(heart, septal=septal)
    if group == "MINF":
        return replace(heart, infarct_rad=(centre, math.radians(half)), infarct_mm=thin)
    return heart
