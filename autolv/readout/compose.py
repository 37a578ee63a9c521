"""The whole read-out of one patient: from label maps of one frame, two, or a cycle to a record of quantities with reasons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Geometry
from autolv.core.labels import LV_MYOCARDIUM, RV_CAVITY
from autolv.readout.axis import base_is_first
from autolv.readout.base import Plane
from autolv.readout.counting import Counted, count_frame, papillary_of, rings_of, with_papillary_in_wall
from autolv.readout.cycle import Phases, cycle_of, phases_of
from autolv.readout.global_values import global_values
from autolv.readout.masks import Mask, Masks, masks_of
from autolv.readout.normal import Population, normal_ranges
from autolv.readout.orientation import orient
from autolv.readout.plausibility import curve_flags
from autolv.readout.segments import Walls, closed_slices, levels_of, segment_walls, segments
from autolv.readout.timing import rr_quantity
from autolv.readout.volumes import MYOCARDIAL_DENSITY_G_PER_ML
from autolv.schema.dataset import Sex
from autolv.schema.readout import (
    BasalRule,
    BsaFormula,
    Flag,
    Level,
    Method,
    Orientation,
    PapillaryRule,
    Quantity,
    Readout,
    Segment,
    SliceArea,
)

Labels = NDArray[np.integer]
DISTANCE_RULE = "distance between the centres of neighbouring slices by the file's header, gaps included"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a patient beside the label maps."""

    case: str
    patient: str
    group: str | None = None
    height_cm: float | None = None
    weight_kg: float | None = None
    sex: Sex | None = None
    age_years: float | None = None
    rr_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The conventions to follow. ``planes``: frame (from 1) -> valve plane, for the rule ``valve_plane``.

    ``normal`` are ranges of healthy people beside the built-in ones.
    """

    basal_rule: BasalRule = "as_segmented"
    papillary_rule: PapillaryRule = "in_cavity"
    density_g_per_ml: float = MYOCARDIAL_DENSITY_G_PER_ML
    bsa_formula: BsaFormula = "mosteller"
    planes: Mapping[int, Plane] = field(default_factory=dict)
    normal: tuple[Population, ...] = ()


def read_out(
    frames: Mapping[int, Labels],
    structures: Sequence[str],
    geometry: Geometry,
    facts: Facts,
    rules: Rules | None = None,
    *,
    ed_frame: int | None = None,
    es_frame: int | None = None,
    whole_cycle: bool = False,
    frame_time_ms: float | None = None,
    images: Mapping[int, NDArray[np.generic]] | None = None,
    sources: Sequence[str] = (),
) -> Readout:
    """Return the read-out of ``frames``: number (from 1) -> labels (z, y, x) with 0 and 1 + the place in ``structures``.

    With ``whole_cycle`` they are all frames 1 to n of one cycle, evenly in time. ``images`` are of the same frames and shape;
    papillary muscles are looked for in them. Raises ``ValueError`` for no frames, other shapes than ``geometry``'s, phases
    that are not among the frames, an implausible RR interval, and the papillary rule ``in_mass`` without images.
    """
    rules = Rules() if rules is None else rules
    _check(frames, geometry, rules, (ed_frame, es_frame), whole_cycle=whole_cycle, images=images)
    spacing_mm = geometry.spacing_mm
    masks = {number: masks_of(labels, structures) for number, labels in sorted(frames.items())}
    papillary = _papillary(masks, images or {}) if rules.papillary_rule == "in_mass" else {}
    base_first = _base(masks)
    counted = {
        number: count_frame(
            _by_papillary_rule(one, papillary.get(number), rules), spacing_mm, rule=rules.basal_rule,
            base_first=base_first, plane=rules.planes.get(number),
        )
        for number, one in masks.items()
    }  # fmt: skip
    rr_ms = rr_quantity(facts.rr_ms, frame_time_ms if whole_cycle else None, len(frames) if whole_cycle else 0)
    step_ms = rr_ms.value / len(frames) if whole_cycle and rr_ms.value is not None else None
    cycle = cycle_of(counted, whole_cycle=whole_cycle, rule=rules.basal_rule, frame_time_ms=step_ms)
    phases = phases_of(counted, cycle, ed_frame, es_frame)
    if not papillary and images is not None and phases.ed is not None:  # told, not counted
        papillary = _papillary({phases.ed: masks[phases.ed]}, images)
    orientation, table, regional_reason, flags = _regional(masks, phases, geometry, structures, base_first=base_first)
    if cycle.curve is not None and cycle.fit is not None:
        flags = (*flags, *curve_flags(cycle.curve.volume_ml, cycle.fit, phases.ed_part, phases.es_part))
    quantities = global_values(
        counted, phases, cycle, rr_ms=rr_ms, papillary=papillary, voxel_ml=geometry.voxel_ml, structures=structures,
        basal_rule=rules.basal_rule, papillary_rule=rules.papillary_rule, density_g_per_ml=rules.density_g_per_ml,
        bsa_formula=rules.bsa_formula, height_cm=facts.height_cm, weight_kg=facts.weight_kg, segments=table,
    )  # fmt: skip
    method = _method(rules, geometry, phases, rr_ms)
    values = {name for name, quantity in quantities.items() if quantity.value is not None}
    normal, normal_reason = normal_ranges(values, facts.sex, facts.age_years, method, rules.normal)
    return Readout(
        case=facts.case, patient=facts.patient, group=facts.group, sex=facts.sex, age_years=facts.age_years,
        sources=tuple(sources), ed_frame=phases.ed, es_frame=phases.es, method=method, quantities=quantities,
        normal=normal, normal_reason=normal_reason,
        slices=_slices(masks, counted, phases, geometry, base_first=base_first), curve=cycle.curve, curve_reason=cycle.reason,
        orientation=orientation, segments=table, regional_reason=regional_reason, flags=flags,
        slice_count=geometry.shape[0], slices_reversed=geometry.slices_reversed,
    )  # fmt: skip


def _check(
    frames: Mapping[int, Labels], geometry: Geometry, rules: Rules, ends: tuple[int | None, int | None], *,
    whole_cycle: bool, images: Mapping[int, NDArray[np.generic]] | None,
) -> None:  # fmt: skip
    if not frames:
        raise ValueError("at least one frame is needed")
    wrong = [number for number, labels in frames.items() if labels.shape != geometry.shape]
    wrong += [number for number, image in (images or {}).items() if image.shape != geometry.shape]
    if wrong:
        raise ValueError(f"frame {wrong[0]} does not have the geometry's shape {geometry.shape} (z, y, x)")
    if whole_cycle and sorted(frames) != list(range(1, len(frames) + 1)):
        raise ValueError(f"a whole cycle has frames 1 to n, got {sorted(frames)}")
    absent = [frame for frame in ends if frame is not None and frame not in frames]
    if absent:
        raise ValueError(f"frame {absent[0]} is not among the frames {min(frames)} to {max(frames)}")
    lacking = sorted(set(frames) - set(images or {}))
    if rules.papillary_rule == "in_mass" and lacking:
        raise ValueError(f"papillary muscles are found in images, and frame {lacking[0]} has none")


def _papillary(masks: Mapping[int, Masks], images: Mapping[int, NDArray[np.generic]]) -> dict[int, Mask]:
    """Return the papillary muscles of the frames that have an image and labelled muscle."""
    found = {number: papillary_of(one, images[number]) for number, one in masks.items() if number in images}
    return {number: mask for number, mask in found.items() if mask is not None}


def _by_papillary_rule(masks: Masks, papillary: Mask | None, rules: Rules) -> Masks:
    if rules.papillary_rule == "in_cavity" or papillary is None:
        return masks
    return with_papillary_in_wall(masks, papillary)


def _base(masks: Mapping[int, Masks]) -> bool | None:
    """Return whether slice 0 is at the base, by the frame with the most LV of those that tell."""
    for number in sorted(masks, key=lambda n: -int(masks[n].lv.sum())):
        found = base_is_first(masks[number])
        if found is not None:
            return found
    return None


def _regional(
    masks: Mapping[int, Masks],
    phases: Phases,
    geometry: Geometry,
    structures: Sequence[str],
    *,
    base_first: bool | None,
) -> tuple[Orientation | None, tuple[Segment, ...], str, tuple[Flag, ...]]:
    """Return orientation, segments, the reason where there are none, and flags; both phases by the orientation of the first."""
    reason = ""
    ed, es = (None if n is None else masks[n] for n in (phases.ed, phases.es))
    first = es if ed is None else ed
    if LV_MYOCARDIUM not in structures:
        reason = "the muscle is not segmented"
    elif first is None:
        reason = "which phase the frame shows is not known"
    elif base_first is None:
        reason = "which end of the stack is the base is not known"
    elif RV_CAVITY not in structures:
        reason = "the right ventricle, from whose insertions segments are counted, is not segmented"
    if reason or first is None or base_first is None:
        return None, (), reason, ()
    found = orient(first, geometry, base_first=base_first)
    if found is None:
        return None, (), "no slice shows both insertions of the right ventricle", ()
    orientation, flags = found
    pixel_mm = geometry.spacing_mm[1:]

    def walls(one: Masks | None, phase: str) -> Walls | str:
        return f"end-{phase} is not known" if one is None else segment_walls(one, orientation, pixel_mm)

    return orientation, segments(walls(ed, "diastole"), walls(es, "systole")), "", flags


def _slices(
    masks: Mapping[int, Masks],
    counted: Mapping[int, Counted],
    phases: Phases,
    geometry: Geometry,
    *,
    base_first: bool | None,
) -> tuple[SliceArea, ...]:
    """Return the slices with anything labelled or counted, at end-diastole and at end-systole, in the array's order."""
    pixel_mm2 = geometry.spacing_mm[1] * geometry.spacing_mm[2]
    found = []
    for phase, number in (("ED", phases.ed), ("ES", phases.es)):
        if number is None:
            continue
        one, counts = masks[number], counted[number]
        ring = rings_of(one, geometry.spacing_mm)
        levels: Mapping[int, Level] = {}
        order: list[int] = []
        if base_first is not None:
            levels = levels_of(closed_slices(one, geometry.spacing_mm[1:]), base_first=base_first)
            order = [int(z) for z in np.flatnonzero(one.lv.any(axis=(1, 2)))][:: 1 if base_first else -1]
        for z in range(-1, len(one.cavity) + 1):
            inside = 0 <= z < len(one.cavity)
            area = {name: _area(mask, z, pixel_mm2, inside=inside)
                    for name, mask in (("cavity", one.cavity), ("wall", one.wall), ("rv", one.rv))}  # fmt: skip
            counted_mm2 = math.nan if counts.reason else float(counts.cavity_mm2[z + 1])
            if not any(value > 0 for value in (*area.values(), counted_mm2)):
                continue
            found.append(SliceArea(
                phase="ED" if phase == "ED" else "ES", index=z, from_base=order.index(z) if z in order else None,
                level=levels.get(z, ""), lv_cavity_mm2=area["cavity"], lv_myocardium_mm2=area["wall"],
                rv_cavity_mm2=area["rv"], ring_percent=100.0 * float(ring[z]) if inside else math.nan,
                counted_mm2=counted_mm2,
                counted_percent=100.0 * counted_mm2 / area["cavity"] if area["cavity"] > 0 else math.nan,
            ))  # fmt: skip
    return tuple(found)


def _area(mask: Mask | None, z: int, pixel_mm2: float, *, inside: bool) -> float:
    if mask is None:
        return math.nan
    return int(np.count_nonzero(mask[z])) * pixel_mm2 if inside else 0.0


def _method(rules: Rules, geometry: Geometry, phases: Phases, rr_ms: Quantity) -> Method:
    dz, dy, dx = geometry.spacing_mm
    return Method(
        basal_rule=rules.basal_rule, papillary_rule=rules.papillary_rule, density_g_per_ml=rules.density_g_per_ml,
        bsa_formula=rules.bsa_formula, slice_distance_mm=dz, slice_distance_rule=DISTANCE_RULE, pixel_mm=(dy, dx),
        phases_rule=phases.rule, time_rule=rr_ms.convention or rr_ms.reason,
    )  # fmt: skip
