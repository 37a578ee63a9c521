from __future__ import annotations

import math

import numpy as np
import pytest

from autolv.core.errors import DataError
from autolv.core.geometry import Geometry, Volume
from autolv.planning import rules
from autolv.planning.fingerprint import combine_fingerprints, find_twins, fingerprint_case, spread
from autolv.schema.dataset import Case, Dataset
from autolv.schema.fingerprint import CaseFingerprint, Fingerprint, Spread
from autolv.schema.record import from_json

STRUCTURES = ("lv_cavity", "lv_myocardium")
SPACING_MM = (10.0, 2.0, 1.5)
CASE = Case(case="a_ED", patient="a", image="a.nii.gz", label="a_gt.nii.gz", phase="ED", group="NOR")


def image_of(array: np.ndarray, spacing_mm: tuple[float, float, float] = SPACING_MM) -> Volume:
    return Volume(array=array, geometry=Geometry.from_spacing(spacing_mm, array.shape[-3:]))


def hand_worked() -> tuple[np.ndarray, np.ndarray]:
    """An image (3, 4, 6) that is zero in its first row; a heart of rows 1-3, columns 2-3 of the lower two slices."""
    image = np.arange(72, dtype=np.float32).reshape(3, 4, 6)
    image[:, 0, :] = 0
    labels = np.zeros((3, 4, 6), dtype=np.uint8)
    labels[0, 1, 2] = 1
    labels[1, 3, 3] = 2
    labels[1, 1, 2] = 1
    return image, labels


def fingerprint_of(image: np.ndarray, labels: np.ndarray, case: Case = CASE) -> CaseFingerprint:
    return fingerprint_case(case, image_of(image), labels, STRUCTURES)


def dataset_of(*cases: Case) -> Dataset:
    return Dataset(name="D", labels={"lv_cavity": 3, "lv_myocardium": 2}, file_ending=".nii.gz", training=cases)


def test_a_case_worked_out_by_hand() -> None:
    image, labels = hand_worked()
    result = fingerprint_of(image, labels)
    assert result.shape == (3, 4, 6)
    assert result.spacing_mm == pytest.approx(SPACING_MM)
    assert result.nonzero_box_shape == (3, 3, 6)
    assert result.heart_extent_mm == pytest.approx((20.0, 6.0, 3.0))  # 2 slices, 3 rows, 2 columns
    assert result.heart_centre == pytest.approx((1 / 3, 2.5 / 4, 3 / 6))
    assert result.heart_slices == 2
    assert result.slices == {"lv_cavity": 2, "lv_myocardium": 1}
    assert result.volume_ml == pytest.approx({"lv_cavity": 0.06, "lv_myocardium": 0.03})  # 30 mm³ per voxel
    # foreground: (0, 1, 2) -> 8, (1, 1, 2) -> 32, (1, 3, 3) -> 45
    assert result.foreground_intensity.p50 == 32.0
    assert result.foreground_intensity.mean == pytest.approx(85 / 3)
    assert (result.phase, result.group, result.patient) == ("ED", "NOR", "a")


def test_measuring_does_not_change_the_arrays() -> None:
    image, labels = hand_worked()
    before = image.copy(), labels.copy()
    fingerprint_of(image, labels)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(labels, before[1])


def test_without_labels_the_heart_is_nowhere_and_the_record_still_goes_through_json() -> None:
    image, labels = hand_worked()
    result = fingerprint_of(image, np.zeros_like(labels))
    assert all(math.isnan(v) for v in (*result.heart_extent_mm, *result.heart_centre))
    assert result.heart_slices == 0
    assert result.volume_ml == {"lv_cavity": 0.0, "lv_myocardium": 0.0}
    assert math.isnan(result.foreground_intensity.mean)
    combined = combine_fingerprints(dataset_of(CASE), [result])
    assert math.isnan(combined.heart_extent_mm[1].median)
    again = from_json(Fingerprint, combined.to_json(), where="text")
    assert again.to_json() == combined.to_json()


def test_a_constant_image_has_its_constant_as_each_statistic() -> None:
    result = fingerprint_of(np.full((3, 4, 6), 7.0, dtype=np.float32), hand_worked()[1])
    assert (result.intensity.mean, result.intensity.p005, result.intensity.p995) == (7.0, 7.0, 7.0)
    assert result.intensity.sd == 0.0


def test_voxels_that_are_not_numbers_are_left_out_of_the_intensity() -> None:
    image, labels = hand_worked()
    image[2] = 5.0
    image[2, 0, 0] = np.nan
    image[:2] = 5.0
    assert fingerprint_of(image, labels).intensity.mean == 5.0


def test_brightness_is_against_the_fields_centre() -> None:
    """200 pixels of 2 mm: the central 160 mm are pixels 60 to 139, half 0 and half 2 (mean 1, SD 1); the rest is 1000."""
    image = np.full((2, 200, 200), 1000.0, dtype=np.float32)
    image[:, 60:140, 60:140] = np.repeat([0.0, 2.0], 40).astype(np.float32)
    labels = np.zeros(image.shape, dtype=np.uint8)
    labels[:, 90:110, 110:120] = 1  # in the half of twos
    result = fingerprint_case(CASE, image_of(image, (10.0, 2.0, 2.0)), labels, STRUCTURES)
    assert result.central_intensity is not None
    assert (result.central_intensity.mean, result.central_intensity.sd) == (1.0, 1.0)
    assert (result.brightness, result.contrast) == (1.0, 0.0)
    assert math.isnan(result.model_copy(update={"central_intensity": None}).brightness)


def test_the_hash_is_that_of_voxels_and_shape_alone() -> None:
    image, labels = hand_worked()
    first = fingerprint_of(image, labels).image_hash
    assert len(first) == 16
    assert fingerprint_of(np.asfortranarray(image), labels).image_hash == first
    assert fingerprint_case(CASE, image_of(image, (8.0, 1.0, 1.0)), labels, STRUCTURES).image_hash == first
    minus_zero = image.copy()
    minus_zero[:, 0, :] = -0.0
    assert fingerprint_of(minus_zero, labels).image_hash == first
    changed = image.copy()
    changed[2, 3, 5] += 1
    assert fingerprint_of(changed, labels).image_hash != first
    other_shape = fingerprint_of(image.reshape(3, 6, 4), labels.reshape(3, 6, 4)).image_hash
    assert other_shape != first


def test_the_orientation_names_the_files_axes() -> None:
    image, labels = hand_worked()
    assert fingerprint_of(image, labels).orientation == "kji"
    flipped = Geometry.from_affine(np.diag([-1.5, -2.0, 10.0, 1.0]), (6, 4, 3))
    result = fingerprint_case(CASE, Volume(array=image, geometry=flipped), labels, STRUCTURES)
    assert result.orientation == "k-j-i"


@pytest.mark.parametrize("shape", [(2, 4, 6), (3, 4, 5)])
def test_labels_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="a_ED"):
        fingerprint_of(hand_worked()[0], np.zeros(shape, dtype=np.uint8))


def test_a_cine_is_refused() -> None:
    cine = np.zeros((2, 3, 4, 6), dtype=np.float32)
    with pytest.raises(DataError, match="one frame"):
        fingerprint_of(cine, np.zeros((2, 3, 4, 6), dtype=np.uint8))


def test_spread_takes_numbers_and_leaves_nan_out() -> None:
    result = spread([0.0, 10.0, math.nan, 5.0])
    assert (result.minimum, result.p10, result.median, result.p90, result.maximum) == (0.0, 1.0, 5.0, 9.0, 10.0)
    constant = spread([3.0, 3.0])
    assert {constant.minimum, constant.p10, constant.median, constant.p90, constant.maximum} == {3.0}


def test_combined_counts_patients_groups_and_phases() -> None:
    image, labels = hand_worked()
    cases = [
        CASE,
        Case(case="a_ES", patient="a", image="i", phase="ES", group="NOR"),
        Case(case="b", patient="b", image="j", group="DCM"),
    ]
    measured = [fingerprint_of(image + i, labels, case) for i, case in enumerate(cases)]
    combined = combine_fingerprints(dataset_of(*cases), measured)
    assert combined.patients == 2
    assert combined.groups == {"DCM": 1, "NOR": 1}
    assert combined.phases == {"ED": 1, "ES": 1}
    assert combined.structures == STRUCTURES
    assert combined.spacing_mm[0].median == pytest.approx(10.0)
    # the heart's centre lies at 1/3 of 30 mm, 2.5/4 of 8 mm and in the middle of x
    offsets = [axis.median for axis in combined.heart_offset_mm]
    assert offsets == pytest.approx([5.0, 1.0, 0.0])
    # foreground medians of the three are 32, 33, 34
    assert combined.foreground_intensity.p50 == 33.0
    assert combined.volume_ml["lv_cavity"].maximum == pytest.approx(0.06)


def test_combined_counts_orientations_and_the_slices_that_a_structure_covers() -> None:
    image, labels = hand_worked()
    empty_apex = labels.copy()
    empty_apex[1] = 0
    flipped = Geometry.from_affine(np.diag([-1.5, -2.0, 10.0, 1.0]), (6, 4, 3))
    cases = [Case(case=name, patient=name, image=name) for name in "abc"]
    measured = [
        fingerprint_of(image, labels, cases[0]),  # of 3 slices the heart has 2, the cavity 2, the myocardium 1
        fingerprint_case(cases[1], Volume(array=image, geometry=flipped), empty_apex, STRUCTURES),  # 1, 1, 0
        fingerprint_of(image, np.zeros_like(labels), cases[2]),  # none
    ]
    combined = combine_fingerprints(dataset_of(*cases), measured)
    assert combined.orientations == {"k-j-i": 1, "kji": 2}

    def three(of: Spread) -> tuple[float, float, float]:
        return of.minimum, of.median, of.maximum

    assert three(combined.shape[0]) == (3.0, 3.0, 3.0)
    assert three(combined.heart_slices) == (0.0, 1.0, 2.0)
    assert combined.heart_slices.p90 == pytest.approx(1.8)  # 0.8 of the way from 1 to 2
    assert {name: three(of) for name, of in combined.slices.items()} == {
        "lv_cavity": (0.0, 1.0, 2.0),
        "lv_myocardium": (0.0, 0.0, 1.0),
    }
    assert three(combined.slice_coverage["lv_cavity"]) == pytest.approx((0.0, 1 / 3, 2 / 3))
    assert three(combined.slice_coverage["lv_myocardium"]) == pytest.approx((0.0, 0.0, 1 / 3))


def test_coverage_is_that_of_each_cases_own_stack() -> None:
    image, labels = hand_worked()
    cases = [Case(case=name, patient=name, image=name) for name in "ab"]
    taller = np.concatenate([image, image[:1]]), np.concatenate([labels, labels[2:]])  # 4 slices, the last one empty
    measured = [fingerprint_of(image, labels, cases[0]), fingerprint_of(*taller, cases[1])]
    combined = combine_fingerprints(dataset_of(*cases), measured)
    assert combined.slices["lv_cavity"].median == 2.0
    cavity = combined.slice_coverage["lv_cavity"]
    assert (cavity.minimum, cavity.maximum) == pytest.approx((2 / 4, 2 / 3))


def test_no_cases_is_an_error_with_a_remedy() -> None:
    with pytest.raises(DataError, match="no training cases"):
        combine_fingerprints(dataset_of(), [])


def test_twins_are_found_across_patients_not_within_one() -> None:
    image, labels = hand_worked()

    def case(name: str, patient: str) -> Case:
        return Case(case=name, patient=patient, image=name)

    same = [fingerprint_of(image, labels, case(f"{p}1", p)) for p in ("a", "c")]
    chain = [fingerprint_of(image + 1, labels, case(f"{p}2", p)) for p in ("c", "b")]
    own = [fingerprint_of(image + 2, labels, case(f"d{i}", "d")) for i in range(2)]
    assert find_twins([*same, *own]) == (("a", "c"),)
    assert find_twins([*same, *chain, *own]) == (("a", "b", "c"),)  # a shares with c, c with b
    assert find_twins(own) == ()


def test_what_was_not_annotated_is_not_taken_for_empty() -> None:
    image, labels = hand_worked()
    partial = CASE.model_copy(update={"case": "b_ED", "patient": "b", "annotated": ("lv_cavity",)})
    cavity_alone = np.where(labels == 1, labels, 0).astype(np.uint8)
    cases = (fingerprint_of(image, labels), fingerprint_of(image, cavity_alone, partial))
    assert set(cases[1].volume_ml) == set(cases[1].slices) == {"lv_cavity"}
    whole = combine_fingerprints(dataset_of(CASE, partial), cases)
    assert whole.volume_ml["lv_myocardium"].minimum == pytest.approx(0.03)
    assert whole.slices["lv_myocardium"].minimum == 1
    assert whole.slice_coverage["lv_myocardium"].minimum == pytest.approx(1 / 3)
    # the heart of the second case, 2 slices of 1 row and 1 column, is not whole
    assert [one.minimum for one in whole.heart_extent_mm] == pytest.approx([20.0, 6.0, 3.0])
    assert rules.heart_extent_mm(whole, (1, 2)) == pytest.approx(6.0)
    assert from_json(Fingerprint, whole.to_json(), where="fingerprint") == whole


def test_where_no_heart_is_whole_those_that_there_are_count() -> None:
    image, labels = hand_worked()
    partial = CASE.model_copy(update={"annotated": ("lv_cavity",)})
    one = fingerprint_of(image, np.where(labels == 1, labels, 0).astype(np.uint8), partial)
    whole = combine_fingerprints(dataset_of(partial), (one,))
    assert math.isnan(whole.volume_ml["lv_myocardium"].median)
    assert whole.heart_extent_mm[1].median == pytest.approx(2.0)
    assert rules.heart_extent_mm(whole, (1, 2)) == pytest.approx(2.0)
