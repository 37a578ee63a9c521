"""A rival geometry for thick slices: 3D on voxels of 1 mm along all axes, proposed where memory and time allow."""

from __future__ import annotations

from autolv.planning import budget, rules
from autolv.planning.networks import SizedNetwork, size_at_width, size_network
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.plan import Compute, Preprocessing

NAME = "3d_unet_iso"
_ARCHITECTURE = "unet"
_SPACING_MM = 1.0  # Roy 2023
_TARGET = rules.Target(in_plane_mm=_SPACING_MM, slice_mm=_SPACING_MM)
_NARROWEST = 16  # channels of the first stage, half of Isensee 2021 and Roy 2023: a narrower network is no rival


def size_isotropic(fingerprint: Fingerprint, compute: Compute) -> SizedNetwork | str:
    """Return the U-Net for 1 mm along all axes, or the reason why none is proposed.

    It has to hold the whole heart in its patch at 16 channels or more, and to get the steps that such a width needs.
    """
    ratio = rules.anisotropy(fingerprint)
    if ratio <= rules.ANISOTROPIC:
        return (
            f"slices are {ratio:.1f} times as far apart as pixels: 3d_{_ARCHITECTURE} sees nearly equal sides already"
        )
    if fingerprint.shape[0].median <= 1:
        return "a stack of one slice has no third direction"
    least = size_at_width(fingerprint, compute, _ARCHITECTURE, 3, _NARROWEST, target=_TARGET)
    if least.enough_memory and least.enough_time:
        return size_network(fingerprint, compute, _ARCHITECTURE, 3, target=_TARGET)
    steps = budget.steps_needed(_NARROWEST, least.batch, rules.measured_slices(fingerprint, _TARGET))
    patch = " x ".join(map(str, least.network.patch))
    return (
        f"{_NARROWEST} channels, half of the published width (Isensee 2021, Roy 2023), on a patch of {patch} voxels of "
        f"{_SPACING_MM:g} mm need {least.memory_gb:.1f} GB and {steps} steps, {steps * least.seconds_per_step / 60:.0f} "
        f"min at an assumed {budget.throughput(least.network, compute) / 1e9:g} GFLOP/s; there are "
        f"{compute.memory_gb:g} GB and {budget.minutes(compute):g} min"
    )


def preprocess_isotropic(
    own: Preprocessing, reasons: dict[str, str], work: budget.Workload
) -> tuple[Preprocessing, dict[str, str]]:
    """Return the preprocessing block of the rival, which is ``own`` on another grid, and its reasons."""
    block = own.model_copy(update={"in_plane_spacing_mm": (_SPACING_MM, _SPACING_MM), "slice_spacing_mm": _SPACING_MM})
    return block, {
        **reasons,
        "preprocessing.in_plane_spacing_mm": (
            f"{_SPACING_MM:g} mm along all axes, a rival to the dataset's own spacing: MedNeXt (Roy 2023) works at it, "
            f"whose score on ACDC is the best in the comparison of Isensee 2024; such voxels of all cases take "
            f"{work.data_gb:.1f} GB"
        ),
        "preprocessing.slice_spacing_mm": (
            "as in-plane, so that 3D kernels reach as far along all axes; each thick slice is repeated with its labels, "
            "not blended with its neighbours (Isensee 2021)"
        ),
    }
