"""Which tissue fills which part of each voxel: the heart sampled 4 times through a slice and 2 x 2 times in a pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from autolv.datasets._phantom_heart import Heart, State, in_rv, wall_mm

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
_THROUGH, _ACROSS = 4, 2
SAMPLES = _THROUGH * _ACROSS**2
_RV_WALL_MM = 3.0
_ATRIUM_MM, _ATRIUM_ABOVE_MM, _AORTA_MM = 25.0, 16.0, 13.0
_PAPILLARY_RAD = 2.2  # from the RV's direction, to both sides
_PAPILLARY_AT, _PAPILLARY_FROM, _PAPILLARY_TO = 0.55, -0.45, 0.25  # in units of a, and of c from the centre
_CELLS = (24, 24, 30)  # of the trabecular pattern: across, across, along


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Where the heart lies in the stack. ``centre_mm`` (x, y) is its axis at half length, from the image's centre.

    ``apex_mm`` is how far the apex lies from slice 0 along the stack; ``shifts_mm`` (z, 2) moves each slice by (y, x).
    """

    centre_mm: tuple[float, float]
    rv_direction_rad: float
    tilt_rad: float
    tilt_towards_rad: float
    apex_mm: float
    shifts_mm: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Samples about the heart in its own coordinates: p towards the RV, q towards anterior, z from apex to base.

    Arrays have shape (z, 16, y, x) on the window ``rows``, ``columns`` of the image. ``r2`` is p² + q².
    """

    rows: slice
    columns: slice
    p: Image
    q: Image
    z: Image
    r2: Image
    thickening: Image | None
    fixed_mm: Image | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """The part (0 to 1) of each voxel of the window, (z, y, x), that is what its name says.

    ``cavity`` (with papillary muscles), ``wall`` and ``rv`` are the labels; ``blood``, ``muscle`` and ``groove`` what the
    picture shows.
    """

    cavity: Image
    wall: Image
    rv: Image
    papillary: Image
    blood: Image
    muscle: Image
    groove: Image


def sample_points(
    heart: Heart, first: State, pose: Pose, shape: tuple[int, int, int], spacing_mm: tuple[float, float, float],
    thickness_mm: float,
) -> Points:  # fmt: skip
    """Return the samples of the window about the heart that ``first``, its largest state, needs."""
    rows, columns = _window(heart, first, pose, shape, spacing_mm)
    dz, dy, dx = spacing_mm
    sub = (np.arange(_ACROSS) + 0.5) / _ACROSS - 0.5
    x = (np.arange(columns.start, columns.stop) - (shape[2] - 1) / 2)[None, :] + sub[:, None]
    y = (np.arange(rows.start, rows.stop) - (shape[1] - 1) / 2)[None, :] + sub[:, None]
    through = ((np.arange(_THROUGH) + 0.5) / _THROUGH - 0.5) * thickness_mm
    along = pose.apex_mm - (np.arange(shape[0]) * dz)[:, None] - through[None, :]
    shifts = pose.shifts_mm[:, None, None, None, None, None, :]
    # axes (z, through, sub y, sub x, y, x)
    vx = (x * dx - pose.centre_mm[0])[None, None, None, :, None, :] - shifts[..., 1]
    vy = (y * dy - pose.centre_mm[1])[None, None, :, None, :, None] - shifts[..., 0]
    vz = (along - heart.length_mm / 2)[:, :, None, None, None, None]
    stretch = math.sqrt(heart.ellipticity)  # area-preserving, so that volumes stay as they are
    size = (shape[0], SAMPLES, rows.stop - rows.start, columns.stop - columns.start)
    p, q, z = (
        (row[0] * vx + row[1] * vy + row[2] * vz).astype(np.float32).reshape(size)
        for row in _axes(pose) * np.array([[stretch], [1 / stretch], [1.0]])
    )
    z += np.float32(heart.length_mm / 2)
    thickening, fixed = _wall_maps(heart, p, q)
    return Points(rows=rows, columns=columns, p=p, q=q, z=z, r2=p * p + q * q, thickening=thickening, fixed_mm=fixed)


def render(heart: Heart, state: State, points: Points, pattern: Mask) -> Shares:
    """Return what fills the voxels of the window at one moment; ``pattern`` says which trabecular cells are dark."""
    shape = (points.p.shape[0], *points.p.shape[2:])
    shares = Shares(**{name: np.zeros(shape, np.float32) for name in Shares.__dataclass_fields__})
    for index in range(shape[0]):  # slice by slice, so that everything stays in the processor's cache
        if points.z[index].max() < state.c_mm - state.c_epi_mm:
            continue  # beyond the apex
        for name, mask in _render_slice(heart, state, _slice_of(points, index), pattern).items():
            getattr(shares, name)[index] = mask.sum(axis=0, dtype=np.uint8) * np.float32(1 / SAMPLES)
    return shares


def _slice_of(points: Points, index: int) -> Points:
    fixed, thickening = points.fixed_mm, points.thickening
    return replace(
        points,
        p=points.p[index],
        q=points.q[index],
        z=points.z[index],
        r2=points.r2[index],
        thickening=None if thickening is None else thickening[index],
        fixed_mm=None if fixed is None else fixed[index],
    )


def _render_slice(heart: Heart, state: State, points: Points, pattern: Mask) -> dict[str, Mask]:
    """Return, for one slice, which samples (16, y, x) are what the names of ``Shares`` say."""
    below = points.z <= np.float32(state.length_mm)
    along2 = (points.z - np.float32(state.c_mm)) ** 2
    inner = points.r2 * np.float32(1 / state.a_mm**2) + along2 * np.float32(1 / state.c_mm**2)
    cavity = (inner <= 1) & below
    if points.thickening is None or points.fixed_mm is None:
        across = points.r2 * np.float32(1 / (state.a_mm + state.w_mm) ** 2)
    else:
        radius = np.float32(state.w_mm) * points.thickening + points.fixed_mm + np.float32(state.a_mm)
        across = points.r2 / (radius * radius)
    epicardium = across + along2 * np.float32(1 / state.c_epi_mm**2) <= 1
    lv = epicardium & below
    right, grown = in_rv(state, points.p, points.q, points.z, _RV_WALL_MM)
    rv = right & below & ~lv
    walls = grown & ~right & ~lv
    blood = right & ~lv
    if not below.all():
        vessels, vessel_walls = _above_base(state, points, below)
        blood |= vessels
        walls = (walls | vessel_walls) & ~blood
    papillary = np.zeros_like(cavity)
    dark = np.zeros_like(cavity)
    inside = np.flatnonzero(cavity)
    if inside.size:
        papillary.flat[inside] = _papillary(heart, state, points, inside)
        dark.flat[inside] = _trabeculae(heart, state, points, inside, inner, pattern)
        dark |= papillary
    wall = lv & ~cavity
    return {
        "cavity": cavity, "wall": wall, "rv": rv, "papillary": papillary, "blood": (cavity & ~dark) | blood,
        "muscle": wall | dark | walls, "groove": epicardium & ~below & ~blood & ~walls,
    }  # fmt: skip


def draw_pattern(rng: np.random.Generator) -> Mask:
    """Return which cells of the trabecular rim are dark: 30 %."""
    return rng.random(_CELLS) < 0.3


def _axes(pose: Pose) -> NDArray[np.float64]:
    """Return the rows p, q, z of the heart in image coordinates (x, y, towards the base): a turn, then a tilt."""
    turn, towards, tilt = pose.rv_direction_rad, pose.tilt_towards_rad, pose.tilt_rad
    axis = np.array([math.cos(towards), math.sin(towards), 0.0])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    rotation = np.eye(3) + math.sin(tilt) * cross + (1 - math.cos(tilt)) * cross @ cross
    flat = np.array([[math.cos(turn), math.sin(turn), 0], [-math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
    return np.asarray(flat @ rotation, dtype=np.float64)


def _window(
    heart: Heart, first: State, pose: Pose, shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]
) -> tuple[slice, slice]:
    """Return the rows and columns that the heart can reach."""
    thick = float(wall_mm(heart, first, np.linspace(-math.pi, math.pi, 73)).max())
    left = -(first.a_mm + thick)
    right = 1.2 * first.rv_p_mm + first.rv_a_mm + _RV_WALL_MM
    side = max(first.a_mm + thick, first.rv_b_mm + _RV_WALL_MM, _ATRIUM_MM + 6)
    corners = np.array([(p, q) for p in (left, right) for q in (-side, side)])
    turn = pose.rv_direction_rad
    x = corners @ np.array([math.cos(turn), -math.sin(turn)]) + pose.centre_mm[0]
    y = corners @ np.array([math.sin(turn), math.cos(turn)]) + pose.centre_mm[1]
    margin = 0.6 * heart.length_mm * math.sin(pose.tilt_rad) + float(np.abs(pose.shifts_mm).max()) + 2.0
    stretch = 1 / math.sqrt(heart.ellipticity)

    def bounds(values: NDArray[np.float64], centre: float, n: int, step: float) -> slice:
        low = centre + (values.min() - centre) * stretch - margin
        high = centre + (values.max() - centre) * stretch + margin
        start = max(0, math.floor(low / step + (n - 1) / 2))
        return slice(min(start, n - 1), max(min(n, math.ceil(high / step + (n - 1) / 2) + 1), min(start, n - 1) + 1))

    return (
        bounds(y, pose.centre_mm[1], shape[1], spacing_mm[1]),
        bounds(x, pose.centre_mm[0], shape[2], spacing_mm[2]),
    )


def _wall_maps(heart: Heart, p: Image, q: Image) -> tuple[Image | None, Image | None]:
    """Return the wall's parts at each sample, or (None, None) where the wall is the same all around."""
    if heart.septal == 0 and heart.infarct_rad is None:
        return None, None
    angles = np.linspace(-math.pi, math.pi, 1441)
    index = ((np.arctan2(q, p) + np.float32(math.pi)) * np.float32(1440 / (2 * math.pi))).astype(np.int32)
    thickening, fixed = heart.thickening(angles).astype(np.float32), heart.fixed_mm(angles).astype(np.float32)
    return thickening[index], fixed[index]


def _above_base(state: State, points: Points, below: Mask) -> tuple[Mask, Mask]:
    """Return the blood of the left atrium and the aorta above the base plane, and their walls."""
    radius = _ATRIUM_MM * (1 + 0.12 * state.contraction)  # the atrium fills while the ventricle ejects
    p, q, z = points.p, points.q, points.z - np.float32(state.length_mm)
    r2 = (p + np.float32(0.25 * state.a_mm)) ** 2 + q**2 + (z - np.float32(_ATRIUM_ABOVE_MM)) ** 2
    a2 = (p - np.float32(0.6 * state.a_mm)) ** 2 + (q - np.float32(4)) ** 2
    above = ~below
    blood = ((r2 <= radius**2) | (a2 <= _AORTA_MM**2)) & above
    walls = ((r2 <= (radius + 2) ** 2) | (a2 <= (_AORTA_MM + 2) ** 2)) & above & ~blood
    return blood, walls


def _papillary(heart: Heart, state: State, points: Points, inside: NDArray[np.intp]) -> Mask:
    """Return which of the samples ``inside`` the cavity are in the two papillary muscles: cylinders along the axis."""
    if heart.papillary_mm <= 0:
        return np.zeros(inside.size, dtype=np.bool_)
    at = _PAPILLARY_AT * state.a_mm
    radius = min(heart.papillary_mm, 0.3 * state.a_mm)  # they do not fill a small cavity
    p = points.p.ravel()[inside] - np.float32(at * math.cos(_PAPILLARY_RAD))
    q = np.abs(points.q.ravel()[inside]) - np.float32(at * math.sin(_PAPILLARY_RAD))
    height = points.z.ravel()[inside] - np.float32(state.c_mm)
    long = (height >= _PAPILLARY_FROM * state.c_mm) & (height <= _PAPILLARY_TO * state.c_mm)
    return np.asarray((p * p + q * q <= radius**2) & long)


def _trabeculae(
    heart: Heart, state: State, points: Points, inside: NDArray[np.intp], inner: Image, pattern: Mask
) -> Mask:
    """Return which of the samples ``inside`` the cavity are dark cells of its rim; the pattern moves with the wall."""
    if heart.rim_mm <= 0:
        return np.zeros(inside.size, dtype=np.bool_)
    rim = inner.ravel()[inside] >= (1 - heart.rim_mm / state.a_mm) ** 2
    chosen = inside[rim]
    cells = []
    for values, scale, shift, n in zip(
        (points.p, points.q, points.z), (2 * state.a_mm, 2 * state.a_mm, state.length_mm), (0.5, 0.5, 0.0), _CELLS,
        strict=True,
    ):  # fmt: skip
        place = values.ravel()[chosen] * np.float32(n / scale) + np.float32(shift * n)
        cells.append(np.clip(place.astype(np.int32), 0, n - 1))
    dark = np.zeros(inside.size, dtype=np.bool_)
    dark[rim] = pattern[cells[0], cells[1], cells[2]]
    return dark
