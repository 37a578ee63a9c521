"""Phantoms with what their truth record does not hold: the mitral plane in space and the papillary muscles' volume."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest

from autolv.datasets._phantom import Phantom, make_phantom
from autolv.datasets._phantom_groups import GROUPS
from autolv.datasets._phantom_heart import cavity_axes
from autolv.datasets._phantom_image import preset_of
from autolv.datasets._phantom_render import _axes
from autolv.datasets._phantom_setting import PhantomSpec, draw_setting
from autolv.readout.base import Plane, plane_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A phantom at end-diastole and end-systole, its mitral plane and papillary volume at both."""

    phantom: Phantom
    planes: tuple[Plane, Plane]
    papillary_ml: tuple[float, float]


def known_phantom(seed: int, spec: PhantomSpec) -> Known:
    """Return the phantom of ``seed`` and ``spec`` with what is known of its geometry."""
    phantom = make_phantom(seed, spec, frames="ends")
    setting = draw_setting(np.random.default_rng(seed), spec, preset_of(spec.preset))
    heart, pose, (dz, dy, dx) = setting.heart, setting.pose, setting.spacing_mm
    axis_x, axis_y, axis_z = _axes(pose)[2]  # towards the base
    planes, papillary = [], []
    for contraction, volume in ((0.0, heart.edv_ml), (1.0, heart.esv_ml)):
        length = heart.length_mm * (1 - heart.shortening * contraction)
        away = length - heart.length_mm / 2  # from the middle of the axis to the base plane
        along = pose.apex_mm - heart.length_mm / 2 - away * axis_z
        normal_z = -axis_z
        if spec.mirrored:
            along, normal_z = (setting.shape[0] - 1) * dz - along, axis_z
        centre_y = (setting.shape[1] - 1) / 2 * dy + pose.centre_mm[1]
        centre_x = (setting.shape[2] - 1) / 2 * dx + pose.centre_mm[0]
        planes.append(plane_of((along, centre_y + away * axis_y, centre_x + away * axis_x), (normal_z, axis_y, axis_x)))
        a, c = cavity_axes(volume, length)
        papillary.append(2 * math.pi * min(heart.papillary_mm, 0.3 * a) ** 2 * 0.7 * c / 1000)  # two cylinders
    return Known(phantom=phantom, planes=(planes[0], planes[1]), papillary_ml=(papillary[0], papillary[1]))


@lru_cache
def _thirty() -> tuple[Known, ...]:
    specs = [
        PhantomSpec(group=list(GROUPS)[seed % len(GROUPS)], trabeculae=False, mirrored=seed % 2 == 1)
        for seed in range(30)
    ]
    return tuple(known_phantom(seed, spec) for seed, spec in enumerate(specs))


@pytest.fixture(scope="session")
def thirty_phantoms() -> tuple[Known, ...]:
    """Thirty phantoms of all groups at random places in their stacks, every other one stored from apex to base."""
    return _thirty()


@pytest.fixture(scope="session")
def make_known() -> Callable[[int, PhantomSpec], Known]:
    """The function that makes such a phantom."""
    return known_phantom
