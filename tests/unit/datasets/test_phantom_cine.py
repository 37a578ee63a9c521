from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from autolv.core.errors import DataError, WorkspaceError
from autolv.datasets import CONVERTERS, ConvertOptions
from autolv.datasets.check import check_dataset
from autolv.datasets.phantom import MNMS_CODES, PhantomSpec, make_phantom, write_acdc_tree
from autolv.datasets.raw import load_dataset
from autolv.schema.phantom import PhantomTruth
from autolv.schema.record import read_record

SPEC = PhantomSpec(shape=(9, 64, 64), spacing_mm=(13.0, 3.2, 3.2), frames=6, snr=40.0)
FINE = PhantomSpec(  # upright, round, without what blurs the truth
    shape=(12, 110, 110), spacing_mm=(9.0, 1.6, 1.6), tilt_degrees=0.0, ellipticity=1.0, shift_mm=0.0, frames=8,
    snr=math.inf,
)  # fmt: skip


def changed(spec: PhantomSpec, **values: Any) -> PhantomSpec:
    return dataclasses.replace(spec, **values)


def volume_ml(phantom: Any, frame: int, structure: int) -> float:
    return float((phantom.labels[frame] == structure).sum()) * phantom.geometry.voxel_ml


def test_shapes_types_and_grid() -> None:
    phantom = make_phantom(0, SPEC)
    assert phantom.image.shape == phantom.labels.shape == (6, 9, 64, 64)
    assert (phantom.image.dtype, phantom.labels.dtype) == (np.float32, np.uint8)
    assert phantom.geometry.spacing_mm == pytest.approx((13.0, 3.2, 3.2))
    assert np.unique(phantom.labels).tolist() == [0, 1, 2, 3]
    assert np.isfinite(phantom.image).all()
    assert phantom.image.min() >= 0
    assert phantom.frame_time_ms * 6 == pytest.approx(phantom.truth.rr_ms)


def test_same_seed_same_phantom_and_any_frame_alone_is_that_frame() -> None:
    whole, again, other = make_phantom(4, SPEC), make_phantom(4, SPEC), make_phantom(5, SPEC)
    assert np.array_equal(whole.image, again.image)
    assert whole.truth == again.truth
    assert not np.array_equal(whole.image, other.image)
    some = make_phantom(4, SPEC, frames=(3, 1))
    assert np.array_equal(some.image, whole.image[[3, 1]])
    assert np.array_equal(some.labels, whole.labels[[3, 1]])
    ends = make_phantom(4, SPEC, frames="ends")
    assert ends.frames == (whole.truth.ed_frame - 1, whole.truth.es_frame - 1)


def test_fixed_volumes_are_the_truth() -> None:
    spec = changed(SPEC, edv_ml=150.0, ef_percent=62.0, rr_ms=900.0)
    truth = make_phantom(0, spec, frames=()).truth
    assert (truth.edv_ml, truth.esv_ml, truth.sv_ml) == pytest.approx((150.0, 57.0, 93.0))
    assert truth.ef_percent == pytest.approx(62.0)
    assert truth.volume_ml[truth.ed_frame - 1] == pytest.approx(150.0)
    assert truth.volume_ml[truth.es_frame - 1] == pytest.approx(57.0)  # end-systole is one of the frames
    assert truth.peak_ejection_ml_per_s == pytest.approx(math.pi * 93 / (2 * truth.systole_fraction * 0.9))
    descent = truth.base_plane_mm[truth.es_frame - 1] - truth.base_plane_mm[truth.ed_frame - 1]
    assert 0.1 * 85 < descent < 0.18 * 98  # shortening of a normal heart


def test_volumes_of_the_labels_are_those_of_the_formulas() -> None:
    phantom = make_phantom(2, changed(FINE, spacing_mm=(5.0, 1.6, 1.6), shape=(24, 140, 140), thickness_mm=5.0),
                           frames="ends")  # fmt: skip
    truth = phantom.truth
    assert volume_ml(phantom, 0, 1) == pytest.approx(truth.edv_ml, abs=6)
    assert volume_ml(phantom, 1, 1) == pytest.approx(truth.esv_ml, abs=5)
    assert 1.05 * volume_ml(phantom, 0, 2) == pytest.approx(truth.mass_g, abs=6)
    assert volume_ml(phantom, 0, 3) == pytest.approx(truth.rv_edv_ml, rel=0.06)


def test_labels_against_formulas_over_many_phantoms() -> None:
    errors = []
    for seed in range(20):
        group = ("NOR", "DCM", "HCM", "MINF", "RV")[seed % 5]
        spec = PhantomSpec(group=group, shape=(16, 72, 72), spacing_mm=(8.0, 2.4, 2.4), frames=8)
        phantom = make_phantom(seed, spec, frames="ends")
        edv, esv = volume_ml(phantom, 0, 1), volume_ml(phantom, 1, 1)
        truth = phantom.truth
        errors.append((edv - truth.edv_ml, esv - truth.esv_ml, 100 * (1 - esv / edv) - truth.ef_percent,
                       1.05 * volume_ml(phantom, 0, 2) - truth.mass_g))  # fmt: skip
    bias, sd = np.mean(errors, axis=0), np.std(errors, axis=0)
    # digitisation of perfect labels on 8 mm slices: SD up to 6.8 ml, 5.3 ml, 2.4 points, 7.4 g, without bias
    assert (sd < (6.8, 5.3, 2.6, 7.4)).all(), sd
    assert (np.abs(bias) < (2.5, 2.0, 1.0, 2.5)).all(), bias
    assert sd[2] > 0.3  # the stack's offset is random: the base plane does cost something


def test_heart_lies_where_the_truth_says() -> None:
    phantom = make_phantom(7, changed(FINE, shift_mm=4.0, rv_degrees=150.0), frames=(0,))
    truth, labels = phantom.truth, phantom.labels[0]
    for index in range(4, 8):  # mid slices
        y, x = np.nonzero(labels[index] == 1)
        centre = np.array([y.mean() - 54.5, x.mean() - 54.5]) * 1.6
        assert centre - truth.axis_centre_mm[::-1] == pytest.approx(truth.slice_shifts_mm[index], abs=0.4)
    assert np.abs(truth.slice_shifts_mm).max() > 1.0


def test_rv_direction_and_insertions_in_the_image() -> None:
    phantom = make_phantom(3, changed(FINE, rv_degrees=160.0), frames=(0,))
    truth = phantom.truth
    middle = round((truth.base_plane_mm[0] + truth.apex_mm) / 2 / 9.0)
    plane = phantom.labels[0, middle]
    y, x = np.nonzero(plane == 1)
    centre_y, centre_x = y.mean(), x.mean()
    wall = np.argwhere(plane == 2)
    beside = [p for p in wall if (plane[p[0] - 1 : p[0] + 2, p[1] - 1 : p[1] + 2] == 3).any()]
    angles = np.degrees([math.atan2(py - centre_y, px - centre_x) for py, px in beside])
    away = (angles - 160.0 + 180.0) % 360.0 - 180.0
    assert truth.rv_direction_degrees == pytest.approx(160.0)
    assert 160.0 + away.max() == pytest.approx(truth.anterior_insertion_degrees, abs=6)
    assert 160.0 + away.min() == pytest.approx(truth.inferior_insertion_degrees, abs=6)


def test_base_plane_and_apex_along_the_stack() -> None:
    phantom = make_phantom(9, FINE, frames="ends")
    for index, frame in enumerate((phantom.truth.ed_frame, phantom.truth.es_frame)):
        slices = np.flatnonzero((phantom.labels[index] == 1).any(axis=(1, 2)))
        base = phantom.truth.base_plane_mm[frame - 1]
        assert slices[0] * 9.0 == pytest.approx(base + 4.5, abs=4.5 + 0.1)  # first slice more than half below the plane
        assert slices[-1] * 9.0 < phantom.truth.apex_mm


def test_mirrored_stack_is_the_same_heart_from_the_other_end() -> None:
    plain, mirrored = make_phantom(1, SPEC, frames=(0,)), make_phantom(1, changed(SPEC, mirrored=True), frames=(0,))
    assert np.array_equal(mirrored.labels[:, ::-1], plain.labels)
    assert np.array_equal(mirrored.image[:, ::-1], plain.image)
    assert mirrored.truth.apex_mm == pytest.approx(8 * 13.0 - plain.truth.apex_mm)
    assert mirrored.truth.slice_shifts_mm == plain.truth.slice_shifts_mm[::-1]


def test_end_diastole_may_be_any_frame() -> None:
    first, later = make_phantom(1, SPEC), make_phantom(1, changed(SPEC, ed_frame=2))
    assert (first.truth.ed_frame, later.truth.ed_frame) == (1, 3)
    assert later.truth.es_frame == (first.truth.es_frame - 1 + 2) % 6 + 1
    assert np.array_equal(np.roll(first.labels, 2, axis=0), later.labels)


def test_structures_left_out_are_background() -> None:
    full = make_phantom(1, SPEC, frames=(0,))
    alone = make_phantom(1, changed(SPEC, structures=("lv_cavity",)), frames=(0,))
    assert np.array_equal(alone.image, full.image)
    assert np.array_equal(alone.labels == 1, full.labels == 1)
    assert alone.labels.max() == 1
    assert alone.truth.structures == ("lv_cavity",)
    with pytest.raises(DataError, match="cannot have"):
        make_phantom(1, changed(SPEC, structures=("rv_cavity",)))


def test_papillary_muscles_are_dark_and_belong_to_the_cavity() -> None:
    phantom = make_phantom(3, FINE, frames=(0,))
    image, muscle = phantom.image[0], phantom.papillary[0]
    assert muscle.sum() > 50
    assert (phantom.labels[0][muscle] == 1).all()
    blood = (phantom.labels[0] == 1) & ~muscle
    assert np.median(image[muscle]) < 0.6 * np.median(image[blood])
    assert not make_phantom(3, changed(FINE, papillary=False), frames=(0,)).papillary.any()


def test_blood_is_brighter_than_myocardium_and_lung_dark() -> None:
    phantom = make_phantom(3, FINE, frames=(0,))
    image, labels = phantom.image[0], phantom.labels[0]
    ratio = np.median(image[labels == 2]) / np.median(image[labels == 1])
    assert 0.25 < ratio < 0.5  # 0.37 with 15 % of jitter, gamma and shading
    assert np.percentile(image, 20) < 0.2 * np.median(image[labels == 1])


def test_noise_has_the_asked_strength() -> None:
    spec = changed(FINE, preset="vendor_a")  # its gamma is 1 to 3 %
    clean, noisy = make_phantom(3, spec, frames=(0,)), make_phantom(3, changed(spec, snr=20.0), frames=(0,))
    assert np.array_equal(clean.labels, noisy.labels)
    blood = (clean.labels[0] == 1) & ~clean.papillary[0]
    difference = (noisy.image - clean.image)[0][blood]
    # coil shading moves the blood's brightness by up to 30 % against the noise, which it does not touch
    assert difference.std() / np.median(clean.image[0][blood]) == pytest.approx(1 / 20, rel=0.35)


def test_unusable_wishes_are_refused() -> None:
    for spec, text in ((changed(SPEC, group="ARV"), "ARV"), (changed(SPEC, preset="x"), "'x'"),
                       (changed(SPEC, frames=1), "two frames")):  # fmt: skip
        with pytest.raises(DataError, match=text) as caught:
            make_phantom(0, spec)
        assert caught.value.remedy


def test_tree_is_in_acdcs_layout(phantom_tree: Path) -> None:
    patient = phantom_tree / "training" / "patient002"
    truth = read_record(PhantomTruth, patient / "truth.json")
    es = f"frame{truth.es_frame:02d}"
    assert sorted(p.name for p in patient.iterdir()) == sorted([
        "Info.cfg", "patient002_4d.nii.gz", "patient002_frame01.nii.gz", "patient002_frame01_gt.nii.gz",
        f"patient002_{es}.nii.gz", f"patient002_{es}_gt.nii.gz", "truth.json",
    ])  # fmt: skip
    assert "Group: DCM\n" in (patient / "Info.cfg").read_text()
    cine = nib.load(patient / "patient002_4d.nii.gz")
    frame = nib.load(patient / f"patient002_{es}.nii.gz")
    assert cine.shape == (64, 64, 9, 6)
    assert np.array_equal(np.asarray(cine.dataobj)[..., truth.es_frame - 1], np.asarray(frame.dataobj))
    assert cine.header.get_xyzt_units() == ("mm", "sec")
    assert cine.header.get_zooms()[3] == pytest.approx(truth.rr_ms / 6 / 1000, rel=1e-3)
    labels = np.asarray(nib.load(patient / f"patient002_{es}_gt.nii.gz").dataobj)
    lv_ml = (labels == 3).sum() * 13 * 3.2 * 3.2 / 1000
    assert lv_ml == pytest.approx(truth.esv_ml, rel=0.15)
    assert (phantom_tree / "testing" / "patient006").is_dir()


def test_tree_goes_the_way_of_real_data(phantom_tree: Path, tmp_path: Path) -> None:
    report = CONVERTERS.get("acdc").convert(phantom_tree.parent, tmp_path / "raw", ConvertOptions())
    assert (report.cases, report.test_cases, report.patients, report.cines) == (10, 2, 5, 6)
    dataset = load_dataset(tmp_path / "raw")
    assert {case.group for case in dataset.training} == {"NOR", "DCM", "HCM", "MINF", "RV"}
    checked = check_dataset(tmp_path / "raw", dataset)
    assert checked.problems == ()


@pytest.mark.parametrize(
    ("structures", "codes", "expected"),
    [
        (("lv_cavity",), {"lv_cavity": 1}, [0, 1]),
        (("lv_cavity", "lv_myocardium"), {"lv_cavity": 200, "lv_myocardium": 100}, [0, 100, 200]),
        (("lv_cavity", "lv_myocardium", "rv_cavity"), dict(MNMS_CODES), [0, 1, 2, 3]),
    ],
)
def test_other_codes_and_fewer_structures(
    tmp_path: Path, structures: tuple[str, ...], codes: dict[str, int], expected: list[int]
) -> None:
    spec = changed(SPEC, structures=structures)
    write_acdc_tree(tmp_path / "in", patients=2, frames=6, spec=spec, codes=codes, cines=False)
    CONVERTERS.get("acdc").convert(tmp_path / "in", tmp_path / "raw", ConvertOptions(labels=codes))
    dataset = load_dataset(tmp_path / "raw")
    assert dataset.labels == codes
    label = np.asarray(nib.load(tmp_path / "raw" / str(dataset.training[0].label)).dataobj)
    assert np.unique(label).tolist() == expected
    assert not check_dataset(tmp_path / "raw", dataset).fatal


def test_converter_makes_and_converts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = ConvertOptions(patients=2, test_patients=1, frames=4, seed=7, preset="mixed")
    report = CONVERTERS.get("phantom").convert(Path("-"), tmp_path / "raw", options)
    assert (report.kind, report.source, report.cases, report.test_cases) == ("phantom", "-", 4, 2)
    assert [case.vendor for case in load_dataset(tmp_path / "raw").training] == ["A", "A", "B", "B"]
    assert [p.name for p in tmp_path.iterdir()] == ["raw"]
    with pytest.raises(WorkspaceError, match="exists already"):
        CONVERTERS.get("phantom").convert(Path("-"), tmp_path / "raw", options)


def test_converter_keeps_the_patients_where_asked(tmp_path: Path, files: Any) -> None:
    kept = tmp_path / "kept"
    options = ConvertOptions(patients=1, frames=2)
    CONVERTERS.get("phantom").convert(kept, tmp_path / "raw", options)
    assert (kept / "training" / "patient001" / "patient001_4d.nii.gz").is_file()
    with pytest.raises(DataError, match="not an empty folder"):
        CONVERTERS.get("phantom").convert(kept, tmp_path / "other", options)
