"""Fingerprint, plan and splits of the real ACDC training set."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from autolv.imageio.volumes import read_image, read_labels
from autolv.planning.fingerprint import combine_fingerprints, fingerprint_case
from autolv.planning.planner import make_plan
from autolv.planning.splits import make_splits
from autolv.schema.dataset import Case, Dataset
from autolv.schema.fingerprint import CaseFingerprint
from autolv.schema.plan import Compute

pytestmark = pytest.mark.slow


def cases_of(folder: Path) -> list[Case]:
    cases = []
    for patient in sorted(folder.glob("patient*")):
        info = dict(line.split(":", 1) for line in (patient / "Info.cfg").read_text().splitlines() if ":" in line)
        for phase in ("ED", "ES"):
            stem = f"{patient.name}/{patient.name}_frame{int(info[phase]):02d}"
            cases.append(
                Case(
                    case=f"{patient.name}_{phase}",
                    patient=patient.name,
                    image=f"{stem}.nii.gz",
                    label=f"{stem}_gt.nii.gz",
                    phase=phase,
                    group=info["Group"].strip(),
                )
            )
    return cases


def test_acdc(acdc_folder: Path) -> None:
    cases = cases_of(acdc_folder)
    if len(cases) != 200:
        pytest.skip(f"{acdc_folder} holds {len(cases)} cases, not the 200 of the whole training set")
    codes = {"lv_cavity": 3, "lv_myocardium": 2, "rv_cavity": 1}
    dataset = Dataset(name="ACDC", labels=codes, file_ending=".nii.gz", training=tuple(cases))
    schema = dataset.schema_

    def measure(case: Case) -> CaseFingerprint:
        labels = schema.to_internal(read_labels(acdc_folder / str(case.label)).array)
        return fingerprint_case(case, read_image(acdc_folder / case.image), labels, schema.structures)

    fingerprint = combine_fingerprints(dataset, [measure(case) for case in cases])
    assert fingerprint.patients == 100
    assert fingerprint.groups == dict.fromkeys(("DCM", "HCM", "MINF", "NOR", "RV"), 20)
    assert [axis.median for axis in fingerprint.spacing_mm] == [10.0, 1.5625, 1.5625]
    assert fingerprint.twins == (("patient074", "patient076"),)
    assert fingerprint.orientations == {"k-j-i": 200}
    assert (fingerprint.heart_slices.median, fingerprint.shape[0].median) == (9.0, 9.0)
    assert {name: of.median for name, of in fingerprint.slices.items()} == {
        "lv_cavity": 9.0, "lv_myocardium": 9.0, "rv_cavity": 7.0
    }  # fmt: skip
    assert {name: round(of.minimum, 6) for name, of in fingerprint.slice_coverage.items()} == {
        "lv_cavity": 0.7, "lv_myocardium": 0.7, "rv_cavity": 0.3
    }  # fmt: skip

    compute = Compute(device="cpu", cores=2, memory_gb=18.0, time_budget_minutes=12.0)
    plan = make_plan(fingerprint, compute)
    flat, deep = plan.configurations["2d_unet"], plan.configurations["3d_unet"]
    assert plan.recommended == "2d_unet"
    assert (flat.network.patch, flat.network.features) == ((112, 112), (16, 32, 64, 128, 256))
    assert (flat.training.batch_size, flat.training.iterations_per_epoch) == (12, 127)
    assert (deep.network.patch, deep.network.features[0]) == ((10, 112, 112), 16)

    group_of = {case.patient: case.group for case in cases}
    for fold in make_splits(dataset, twins=fingerprint.twins).folds:
        assert set(Counter(group_of[patient] for patient in fold.validation).values()) == {4}
        assert len({"patient074", "patient076"} & set(fold.validation)) in (0, 2)
