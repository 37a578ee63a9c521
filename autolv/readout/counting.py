"""How much of each slice goes into a frame's volumes, by the rules for the base and for papillary muscles."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Spacing
from autolv.readout.base import Plane, ring_rule, ring_share, to_plane
from autolv.readout.masks import Floats, Mask, Masks
from autolv.readout.papillary import papillary_mask
from autolv.schema.readout import BasalRule

RULE_WORDS = {
    "as_segmented": "all slices as segmented",
    "ring50": "slices at the base left out until muscle bounds half of the cavity",
    "valve_plane": "up to the valve plane as given",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counted:
    """The areas in mm² that count in one frame: shape (z + 2,), the first and the last beyond the stack.

    ``wall_mm2`` and ``rv_mm2`` are ``None`` where the structure was not segmented; ``reason`` says why nothing counts.
    """

    cavity_mm2: Floats
    wall_mm2: Floats | None
    rv_mm2: Floats | None
    distance_mm: float
    reason: str = ""

    def cavity_ml(self) -> float:
        """Return the cavity's volume; NaN where nothing counts."""
        return math.nan if self.reason else self._ml(self.cavity_mm2)

    def wall_ml(self) -> float:
        """Return the muscle's volume; NaN where nothing counts or it was not segmented."""
        return math.nan if self.reason or self.wall_mm2 is None else self._ml(self.wall_mm2)

    def rv_ml(self) -> float:
        """Return the right ventricle's volume, always as segmented; NaN where it was not."""
        return math.nan if self.rv_mm2 is None else self._ml(self.rv_mm2)

    def _ml(self, area_mm2: Floats) -> float:
        return float(area_mm2.sum()) * self.distance_mm / 1000.0  # 1 ml = 1000 mm³


def count_frame(
    masks: Masks, spacing_mm: Spacing, *, rule: BasalRule, base_first: bool | None, plane: Plane | None = None
) -> Counted:
    """Return what counts of a frame: of its cavity by ``rule``, of its wall up to the valve plane, of its RV all.

    Where the rule cannot be followed (no base, no muscle, no plane), or no LV is labelled, the result says why.
    """
    pixel_mm2 = spacing_mm[1] * spacing_mm[2]
    all_of_it = Counted(
        cavity_mm2=_areas(masks.cavity, pixel_mm2),
        wall_mm2=None if masks.wall is None else _areas(masks.wall, pixel_mm2),
        rv_mm2=None if masks.rv is None else _areas(masks.rv, pixel_mm2),
        distance_mm=spacing_mm[0],
    )
    if not masks.lv.any():
        return replace(all_of_it, reason="no left ventricle is labelled")
    if rule == "as_segmented":
        return all_of_it
    if base_first is None:
        return replace(all_of_it, reason="which end of the stack is the base is not known")
    if rule == "ring50":
        if masks.wall is None:
            return replace(all_of_it, reason="the muscle is not segmented, so no ring can be told")
        kept = ring_rule(masks, rings_of(masks, spacing_mm), base_first=base_first)
        return replace(all_of_it, cavity_mm2=all_of_it.cavity_mm2 * np.pad(kept, 1))
    if plane is None:
        return replace(all_of_it, reason="no valve plane is given for this frame")
    try:
        ended, shares = to_plane(masks, plane, spacing_mm, base_first=base_first)
    except ValueError as error:
        return replace(all_of_it, reason=str(error))
    wall = None if ended.wall is None else (ended.wall * shares).sum(axis=(1, 2)) * pixel_mm2
    return replace(all_of_it, cavity_mm2=(ended.cavity * shares).sum(axis=(1, 2)) * pixel_mm2, wall_mm2=wall)


def rings_of(masks: Masks, spacing_mm: Spacing) -> Floats:
    """Return each slice's ``ring_share``: shape (z,)."""
    shares = [
        ring_share(cavity, None if masks.wall is None else masks.wall[z], spacing_mm[1:])
        for z, cavity in enumerate(masks.cavity)
    ]
    return np.array(shares, dtype=np.float64)


def papillary_of(masks: Masks, image: NDArray[np.generic]) -> Mask | None:
    """Return the papillary muscles in the cavity by the image's signal, (z, y, x); ``None`` without labelled muscle."""
    if masks.wall is None:
        return None
    return papillary_mask(np.asarray(image, dtype=np.float32), masks.cavity, masks.wall)


def with_papillary_in_wall(masks: Masks, papillary: Mask) -> Masks:
    """Return the masks with the papillary muscles as muscle."""
    wall = papillary if masks.wall is None else masks.wall | papillary
    return replace(masks, cavity=masks.cavity & ~papillary, wall=wall)


def _areas(mask: Mask, pixel_mm2: float) -> Floats:
    """Return the area per slice in mm², one slice longer at either end: shape (z + 2,)."""
    return np.pad(np.count_nonzero(mask, axis=(1, 2)) * pixel_mm2, 1)
