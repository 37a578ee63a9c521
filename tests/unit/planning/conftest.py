"""Fingerprints of made-up datasets."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from autolv.planning.fingerprint import combine_fingerprints
from autolv.schema.dataset import Case, Dataset
from autolv.schema.fingerprint import CaseFingerprint, Fingerprint, Intensity

MakeFingerprint = Callable[..., Fingerprint]
_NOTHING = Intensity(mean=0.0, sd=1.0, p005=0.0, p50=0.0, p995=1.0)
_CODES = {"lv_cavity": 3, "lv_myocardium": 2, "rv_cavity": 1}


@pytest.fixture
def make_fingerprint() -> MakeFingerprint:
    """A function that makes a fingerprint of ``patients`` with an ED and an ES frame each, all of one geometry."""

    def make(
        *,
        patients: int = 100,
        shape: tuple[int, int, int] = (9, 256, 216),
        spacing_mm: tuple[float, float, float] = (10.0, 1.5625, 1.5625),
        heart_mm: tuple[float, float, float] = (80.0, 140.0, 150.0),
        structures: tuple[str, ...] = ("lv_cavity", "lv_myocardium", "rv_cavity"),
    ) -> Fingerprint:
        labelled = not math.isnan(heart_mm[0])
        cases = tuple(
            CaseFingerprint(
                case=f"p{i:03d}_{phase}",
                patient=f"p{i:03d}",
                phase=phase,
                group=None,
                image_hash=f"{i}{phase}",
                shape=shape,
                spacing_mm=spacing_mm,
                orientation="kji",
                nonzero_box_shape=shape,
                intensity=_NOTHING,
                foreground_intensity=_NOTHING,
                heart_extent_mm=heart_mm,
                heart_centre=(0.5, 0.5, 0.5) if labelled else heart_mm,
                heart_slices=shape[0],
                volume_ml=dict.fromkeys(structures, 100.0),
                slices=dict.fromkeys(structures, shape[0]),
            )
            for i in range(patients)
            for phase in ("ED", "ES")
        )
        dataset = Dataset(
            name="Made",
            labels={name: _CODES[name] for name in structures},
            file_ending=".nii.gz",
            training=tuple(Case(case=c.case, patient=c.patient, image=c.case) for c in cases),
        )
        return combine_fingerprints(dataset, cases)

    return make
