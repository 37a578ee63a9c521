"""What a phantom shall be, and everything that is drawn for it before its frames are rendered."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from autolv.core.errors import DataError
from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY, STRUCTURES
from autolv.datasets._phantom_groups import GROUPS, draw_heart
from autolv.datasets._phantom_heart import Heart
from autolv.datasets._phantom_image import Preset
from autolv.datasets._phantom_render import Pose
from autolv.datasets._phantom_truth import body


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomSpec:
    """What a phantom shall be; ``None`` means drawn at random, within the ranges of its group and preset.

    ``shape`` is (z, y, x); without it the stack is 160 x 160 pixels and long enough for the heart. ``spacing_mm`` is that of
    slice centres, ``thickness_mm`` the slice's own (the rest is gap). ``frames`` divide the cycle evenly; ``ed_frame``
    (0-based) is the first of systole. ``snr`` is that of blood (``math.inf``: no noise), ``rv_degrees`` the direction from
    LV to RV in the image, ``offset_mm`` moves the stack along its axis, ``mirrored`` stores it from apex to base.
    """

    group: str = "NOR"
    preset: str = "default"
    shape: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    thickness_mm: float | None = None
    frames: int = 25
    ed_frame: int = 0
    rr_ms: float | None = None
    edv_ml: float | None = None
    ef_percent: float | None = None
    wall_mm: float | None = None
    length_mm: float | None = None
    shortening: float | None = None
    ellipticity: float | None = None
    rv_degrees: float | None = None
    tilt_degrees: float | None = None
    offset_mm: float | None = None
    snr: float | None = None
    shift_mm: float = 1.5
    papillary: bool = True
    trabeculae: bool = True
    mirrored: bool = False
    structures: tuple[str, ...] = STRUCTURES


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Everything drawn for one phantom but the frames' own noise."""

    heart: Heart
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    thickness_mm: float
    systole: float
    rr_ms: float
    pose: Pose
    snr: float
    gamma: float
    gain: float
    offset: float
    inflow: float
    shading: float
    body: tuple[float, float]
    base_seed: int


def check_spec(spec: PhantomSpec) -> None:
    """Raise ``DataError`` where ``spec`` asks for what cannot be."""
    unknown = [name for name in spec.structures if name not in STRUCTURES]
    if unknown or LV_CAVITY not in spec.structures:
        raise DataError(
            f"a phantom cannot have the structures {', '.join(spec.structures)}.",
            remedy=f"Use {LV_CAVITY} and any of {LV_MYOCARDIUM}, {RV_CAVITY}.",
        )
    if spec.frames < 2 or not 0 <= spec.ed_frame < spec.frames:
        raise DataError(
            f"a phantom's cycle needs two frames or more, and end-diastole among them; got {spec.frames} frames, "
            f"end-diastole {spec.ed_frame}.",
            remedy="Ask for more frames.",
        )


def draw_setting(rng: np.random.Generator, spec: PhantomSpec, preset: Preset) -> Setting:
    """Draw everything in one fixed order, so that giving one value leaves the others as they are."""

    def take(value: float | None, low: float, high: float) -> float:
        drawn = float(rng.uniform(low, high))
        return drawn if value is None else float(value)

    given = {name: getattr(spec, name) for name in
             ("edv_ml", "ef_percent", "wall_mm", "length_mm", "shortening", "ellipticity")}  # fmt: skip
    heart = draw_heart(rng, spec.group, given)
    heart = _without(heart, spec)
    in_plane, between = take(None, 1.4, 1.7), float(rng.choice([8.0, 9.0, 10.0]))
    spacing = spec.spacing_mm or (between, in_plane, in_plane)
    thickness = take(spec.thickness_mm, min(6.0, spacing[0]), min(8.0, spacing[0]))
    slices = math.ceil((heart.length_mm + 12.0) / spacing[0]) + 2
    shape = spec.shape or (slices, 160, 160)
    systole = max(1, round(take(None, 0.34, 0.40) * spec.frames)) / spec.frames  # end-systole is a frame
    centre = rng.uniform(-15, 15, 2)
    middle = (shape[0] - 1) / 2 * spacing[0] + take(spec.offset_mm, -spacing[0] / 2, spacing[0] / 2)
    shifts = rng.normal(0, 1, (shape[0], 2)) * spec.shift_mm
    outliers = rng.random(shape[0]) < 0.04
    shifts += (outliers & (spec.shift_mm > 0))[:, None] * rng.uniform(-4, 4, (shape[0], 2))
    pose = Pose(
        centre_mm=(float(centre[0]), float(centre[1])),
        rv_direction_rad=math.radians(take(spec.rv_degrees, 125, 195)),
        tilt_rad=math.radians(take(spec.tilt_degrees, 0, 8)),
        tilt_towards_rad=take(None, 0, 2 * math.pi),
        apex_mm=middle + heart.length_mm / 2,
        shifts_mm=shifts,
    )
    return Setting(
        heart=heart, shape=shape, spacing_mm=spacing, thickness_mm=thickness, systole=systole,
        rr_ms=take(spec.rr_ms, 600, 1200), pose=pose, snr=take(spec.snr, *preset.snr), gamma=take(None, *preset.gamma),
        gain=take(None, *preset.gain), offset=take(None, *preset.offset), inflow=take(None, *preset.inflow),
        shading=take(None, *preset.shading), body=body(rng, heart.edv_ml, GROUPS[spec.group].edv_index),
        base_seed=int(rng.integers(2**62)),
    )  # fmt: skip


def _without(heart: Heart, spec: PhantomSpec) -> Heart:
    return replace(
        heart,
        papillary_mm=heart.papillary_mm if spec.papillary else 0.0,
        rim_mm=heart.rim_mm if spec.trabeculae else 0.0,
    )
