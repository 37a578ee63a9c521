"""How findings become a verdict, and what cannot be checked."""

from __future__ import annotations

import time

import numpy as np
import pytest

from autolv.core.geometry import Geometry
from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, STRUCTURES
from autolv.datasets.phantom import PhantomSpec, make_phantom
from autolv.readout.quality import QUALITY_CHECKS, Limits, judge, judge_example
from autolv.readout.quality._example import CAVITY, MIDDLE, RV, SPACING_MM, WALL, block, healthy, outer_mm
from autolv.schema.fingerprint import CaseFingerprint, Fingerprint, Intensity, Spread
from autolv.schema.quality import Finding, Verdict
from autolv.schema.record import from_json

GEOMETRY = Geometry.from_spacing(SPACING_MM, (10, 96, 96))
WITHOUT_CINE = {"curve_roughness", "frame_jump"}
WITHOUT_EXPECTATION = {"predicted_dice", "predicted_wall_dice", "predicted_rv_dice"}
WITHOUT_LIMITS = {"spacing", "heart_brightness", "heart_contrast"}


def reasons(verdict: Verdict) -> dict[str, str]:
    return {one.check: one.reason for one in verdict.not_checked}


def test_one_fail_outweighs_reviews_and_comes_first() -> None:
    labels = healthy()
    labels[3][block((-3.0, 3.0), (-3.0, 3.0))] = 0  # a hole: 25 pixels of 2.25 mm²
    labels[MIDDLE][labels[MIDDLE] == RV] = 0  # the RV misses a slice
    verdict = judge({1: labels, 2: healthy(1.0)}, STRUCTURES, GEOMETRY)
    assert [(f.check, f.level) for f in verdict.findings] == [("lv_holes", "fail"), ("rv_missing_slice", "review")]
    assert verdict.level == "fail"
    hole = verdict.findings[0]
    assert (hole.frame, hole.slices, hole.value) == (1, (3,), pytest.approx(56.25))
    assert hole.message == "The LV cavity has holes of 56 mm² in slice 4 of 10 (from the first in the file), frame 1."


def test_findings_are_told_by_frame_and_slice() -> None:
    labels = healthy(1.0)
    for z in (3, 5):
        labels[z][block((-3.0, 3.0 + z), (-3.0, 3.0))] = 0
    verdict = judge({1: healthy(), 2: labels}, STRUCTURES, GEOMETRY)
    assert [f.check for f in verdict.findings] == ["lv_holes"]
    found = verdict.findings[0]
    assert (found.frame, found.slices) == (2, (3, 5))
    assert found.message.endswith(" in slice 6 of 10 (from the first in the file), frame 2, and less so in slice 4.")
    assert verdict.of_frame(2) == verdict.of_slice(2, 5) == (found,)
    assert verdict.of_frame(1) == verdict.of_slice(2, 4) == ()


def test_a_slice_has_the_number_that_it_has_in_the_file() -> None:
    """The z axis runs downwards in the file: place 3 of the array of ten is the file's seventh, place 5 its fifth."""
    dz, dy, dx = SPACING_MM
    turned = Geometry.from_affine(np.diag([dx, dy, -dz, 1.0]), (96, 96, 10))
    assert turned.slices_reversed and not GEOMETRY.slices_reversed
    labels = healthy()
    for z in (3, 5):
        labels[z][block((-3.0, 3.0 + z), (-3.0, 3.0))] = 0
    in_file = turned.to_file(labels)  # (x, y, z)
    assert (in_file[..., 6] == CAVITY).sum() == (labels[3] == CAVITY).sum() != (in_file[..., 3] == CAVITY).sum()
    (found,) = (f for f in judge({1: labels}, STRUCTURES, turned).findings if f.check == "lv_holes")
    assert found.slices == (3, 5)
    assert found.message.endswith(" in slice 5 of 10 (from the first in the file), and less so in slice 7.")


def test_what_holds_of_all_frames_belongs_to_each() -> None:
    whole = Finding(check="ef_low", level="review", message="x")
    assert Verdict(level="review", findings=(whole,)).of_frame(3) == (whole,)
    assert Verdict(level="review", findings=(whole,)).of_slice(3, 0) == ()


def test_the_share_of_the_border_is_in_the_message() -> None:
    labels = healthy()
    labels[MIDDLE][block((-7.5, 7.5), (10.0, outer_mm(MIDDLE) + 1.0)) & (labels[MIDDLE] == WALL)] = CAVITY
    found = judge({1: labels}, STRUCTURES, GEOMETRY).findings[0]
    # 11 rows of 1.5 mm reach the outside, where the circle steps by 1 pixel above and below
    assert found.check == "lv_touches_background"
    assert 16.5 <= found.value <= 22.5
    assert "The LV cavity touches the background along 10 % of its border (" in found.message
    assert found.message.endswith("in slice 5 of 10 (from the first in the file).")  # no frame where there is one only


def test_a_flaw_of_three_pixels_is_let_pass() -> None:
    labels = healthy()
    labels[MIDDLE][48, 54:57] = 0  # 3 pixels: 6.75 mm²
    assert judge({1: labels}, STRUCTURES, GEOMETRY).level == "pass"


@pytest.mark.parametrize("frames", [1, 2])
def test_empty_labels_fail_and_nothing_breaks(frames: int) -> None:
    empty = np.zeros((10, 96, 96), dtype=np.uint8)
    verdict = judge(dict.fromkeys(range(1, frames + 1), empty), STRUCTURES, GEOMETRY, whole_cycle=True)
    assert verdict.level == "fail"
    absent = {f"{name}_absent" for name in STRUCTURES}
    assert {f.check for f in verdict.findings if f.level == "fail"} == absent
    assert len([f for f in verdict.findings if f.check in absent]) == 3 * frames


def test_a_structure_that_is_not_segmented_is_not_checked() -> None:
    labels = healthy()
    labels[labels == RV] = 0
    verdict = judge({1: labels}, (LV_CAVITY, LV_MYOCARDIUM), GEOMETRY)
    assert verdict.level == "pass"
    right = {name for name in QUALITY_CHECKS if "rv_cavity" in QUALITY_CHECKS.get(name).needs}
    assert {name for name, why in reasons(verdict).items() if why == "rv_cavity not segmented"} == right
    assert {"rv_holes", "lv_touches_rv", "swapped_labels"} <= right


def test_the_cavity_alone_is_judged_by_what_it_shows() -> None:
    labels = (healthy() == CAVITY).astype(np.uint8)
    verdict = judge({1: labels}, (LV_CAVITY,), GEOMETRY)
    assert verdict.level == "pass"
    assert reasons(verdict)["lv_touches_background"] == "lv_myocardium not segmented"
    labels[MIDDLE][block((-3.0, 3.0), (-3.0, 3.0))] = 0
    assert [f.check for f in judge({1: labels}, (LV_CAVITY,), GEOMETRY).findings] == ["lv_holes"]


def test_one_frame_has_no_ejection_fraction() -> None:
    why = reasons(judge({1: healthy()}, STRUCTURES, GEOMETRY))
    assert {name for name, reason in why.items() if reason == "it takes two frames"} == {
        "ef_not_positive", "ef_low", "ef_high", "rv_ef_not_positive", "mass_difference",
    }  # fmt: skip
    assert set(why) >= WITHOUT_CINE | WITHOUT_LIMITS


def test_every_check_found_something_or_nothing_or_says_why_not() -> None:
    example = QUALITY_CHECKS.get("heart_contrast").example()
    assert set(reasons(judge_example(example))) == WITHOUT_CINE | WITHOUT_EXPECTATION


def test_an_open_ring_in_the_basal_slice_is_no_fault_but_below_it_is() -> None:
    labels = healthy()
    opening = block((-60.0, 60.0), (12.0, 60.0))
    labels[1][opening & (labels[1] == WALL)] = 0  # a third of the ring, towards the lateral side
    assert judge({1: labels}, STRUCTURES, GEOMETRY).level == "pass"
    labels[3][opening & (labels[3] == WALL)] = 0
    below = judge({1: labels}, STRUCTURES, GEOMETRY)
    assert {f.check: f.slices for f in below.findings}["lv_touches_background"] == (3,)


def test_a_shift_is_told_of_the_slice_that_moved() -> None:
    labels = healthy()
    labels[5] = np.roll(labels[5], 14, axis=1)  # 21 mm: its neighbours lie 10.5 mm beside the middle of theirs
    found = judge({1: labels}, STRUCTURES, GEOMETRY).findings
    assert [(f.check, f.slices) for f in found] == [("slice_shift", (5,))]
    assert found[0].value == pytest.approx(21.0, abs=0.1)


def test_volumes_of_the_readout_come_before_those_of_the_labels() -> None:
    readout = QUALITY_CHECKS.get("ef_not_positive").example().readout
    assert readout is not None
    given = readout.model_copy(update={"ed_frame": 1, "es_frame": 2, "quantities": {"lv_ef_percent": _percent(90.0)}})
    verdict = judge({1: healthy(), 2: healthy(1.0)}, STRUCTURES, GEOMETRY, readout=given)
    assert [(f.check, f.value) for f in verdict.findings] == [("ef_high", 90.0)]


def _percent(value: float):
    from autolv.schema.readout import Quantity

    return Quantity(value=value, unit="%")


def test_limits_are_the_range_of_the_training_cases() -> None:
    limits = Limits.of(fingerprint(cases=12))
    assert limits.cases == 12
    assert limits.spacing_mm == ((8.0, 10.0), (1.2, 1.8), (1.2, 1.8))
    # image mean 100, SD 50; hearts with mean 120 + 5 i, SD 40 + i
    assert limits.brightness == pytest.approx((0.4, 1.5))
    assert limits.contrast == pytest.approx((0.8, 1.02))


def test_a_few_training_cases_make_no_range() -> None:
    verdict = judge({1: healthy()}, STRUCTURES, GEOMETRY, limits=Limits.of(fingerprint(cases=9)))
    assert {reasons(verdict)[name] for name in WITHOUT_LIMITS} == {
        "the model was trained on 9 cases, too few to tell a range"
    }


def test_an_image_without_finite_values_is_not_compared() -> None:
    limits = Limits.of(fingerprint(cases=12))
    image = np.full((10, 96, 96), np.nan, dtype=np.float32)
    why = reasons(judge({1: healthy()}, STRUCTURES, GEOMETRY, limits=limits, images={1: image}))
    assert why["heart_brightness"] == "the image is constant or has values that are not finite"
    assert reasons(judge({1: healthy()}, STRUCTURES, GEOMETRY, limits=limits))["heart_contrast"] == "no image was given"


def test_an_image_in_other_units_is_the_same_to_the_checks() -> None:
    example = QUALITY_CHECKS.get("heart_contrast").example()
    assert example.images is not None
    scaled = {number: 700 * image + 30 for number, image in example.images.items()}
    geometry = Geometry.from_spacing(example.spacing_mm, (10, 96, 96))
    values = [
        judge(example.frames, STRUCTURES, geometry, limits=example.limits, images=images).findings[0].value
        for images in (example.images, scaled)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-4)


def test_a_field_made_wider_with_air_is_the_same_to_the_checks() -> None:
    """96 pixels of 2 mm: the central 160 mm lie within the field, whatever is added around it."""
    example = QUALITY_CHECKS.get("heart_contrast").example()
    assert example.images is not None
    wider = [{number: np.pad(array, ((0, 0), (30, 30), (30, 30))) for number, array in arrays.items()}
             for arrays in (example.frames, example.images)]  # fmt: skip
    found = [
        judge(frames, STRUCTURES, Geometry.from_spacing((8.0, 2.0, 2.0), size), limits=example.limits, images=images)
        for frames, images, size in ((example.frames, example.images, (10, 96, 96)), (*wider, (10, 156, 156)))
    ]
    values = [[f.value for f in verdict.findings if f.check == "heart_contrast"] for verdict in found]
    assert len(values[0]) == 1 and values[0] == pytest.approx(values[1], rel=1e-5)


def test_a_fingerprint_of_before_tells_no_range_of_intensities() -> None:
    old = fingerprint(cases=12)
    cases = tuple(case.model_copy(update={"central_intensity": None}) for case in old.cases)
    limits = Limits.of(old.model_copy(update={"cases": cases}))
    image = np.random.default_rng(1).normal(size=(10, 96, 96)).astype(np.float32)
    why = reasons(judge({1: healthy()}, STRUCTURES, GEOMETRY, limits=limits, images={1: image}))
    assert why["heart_brightness"] == "the model's fingerprint has no intensities of the field's centre"


def fingerprint(cases: int) -> Fingerprint:
    nan = float("nan")
    spread = Spread(minimum=1.2, p10=1.3, median=1.5, p90=1.7, maximum=1.8)
    slices = Spread(minimum=8.0, p10=8.0, median=10.0, p90=10.0, maximum=10.0)
    image = Intensity(mean=100.0, sd=50.0, p005=0.0, p50=90.0, p995=300.0)
    hearts = [Intensity(mean=120.0 + 5 * i, sd=40.0 + i, p005=0.0, p50=90.0, p995=300.0) for i in range(cases)]
    return Fingerprint(
        dataset="x", labels={}, structures=STRUCTURES, patients=cases, groups={}, phases={}, intensity=image,
        spacing_mm=(slices, spread, spread), shape=(spread,) * 3, heart_extent_mm=(spread,) * 3,
        heart_offset_mm=(spread,) * 3, foreground_intensity=image, volume_ml={},
        cases=tuple(
            CaseFingerprint(
                case=f"{i}", patient=f"{i}", phase=None, group=None, image_hash=f"{i}", shape=(10, 96, 96),
                spacing_mm=(8.0, 1.5, 1.5), orientation="kji", nonzero_box_shape=(10, 96, 96), intensity=image,
                foreground_intensity=heart, heart_extent_mm=(nan,) * 3, heart_centre=(nan,) * 3, heart_slices=8,
                central_intensity=image, volume_ml={}, slices={},
            )
            for i, heart in enumerate(hearts)
        ),
    )  # fmt: skip


def test_frames_must_be_there_and_fit_their_geometry() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        judge({}, STRUCTURES, GEOMETRY)
    with pytest.raises(ValueError, match=r"frame 3 has labels of shape \(9, 96, 96\)"):
        judge({3: healthy()[:9]}, STRUCTURES, GEOMETRY)


def test_a_verdict_comes_back_from_json_as_it_was() -> None:
    verdict = judge_example(QUALITY_CHECKS.get("lv_holes").example())
    assert from_json(Verdict, verdict.to_json(), where="x") == verdict
    undefined = Verdict(level="fail", findings=(Finding(check="a", level="fail", message="b"),))
    assert from_json(Verdict, undefined.to_json(), where="x").to_json() == undefined.to_json()


def test_labels_are_left_as_they_are() -> None:
    labels = healthy()
    before = labels.copy()
    judge({1: labels}, STRUCTURES, GEOMETRY)
    np.testing.assert_array_equal(labels, before)


def test_labels_at_the_images_border_are_judged_like_others() -> None:
    labels = healthy()
    rows, columns = (np.flatnonzero((labels != 0).any(axis=axes)) for axes in ((0, 2), (0, 1)))
    tight = labels[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    verdict = judge({1: tight}, STRUCTURES, Geometry.from_spacing(SPACING_MM, tight.shape))
    assert verdict.level == "pass"


def test_a_cine_of_thirty_frames_and_twelve_slices_takes_less_than_two_seconds_of_one_core() -> None:
    frames = {}
    for number in range(1, 31):
        frames[number] = np.zeros((12, 128, 128), dtype=np.uint8)
        frames[number][1:11, 16:112, 16:112] = np.repeat(healthy((number % 15) / 15)[1:9], 2, axis=0)[:10]
    geometry = Geometry.from_spacing((8.0, 1.4, 1.4), (12, 128, 128))
    judge({1: frames[1]}, STRUCTURES, geometry)  # imports are no part of it
    began = time.process_time()
    judge(frames, STRUCTURES, geometry, whole_cycle=True)
    assert time.process_time() - began < 2.0


def test_of_fifty_clean_phantoms_at_most_two_are_to_be_reviewed_and_none_fails(thirty_phantoms) -> None:
    groups = ("NOR", "DCM", "HCM", "MINF", "RV")
    more = [
        make_phantom(seed, PhantomSpec(group=groups[seed % 5], trabeculae=False), frames="ends")
        for seed in range(30, 50)
    ]
    levels = []
    for phantom in [*(known.phantom for known in thirty_phantoms), *more]:
        frames = dict(enumerate(phantom.labels, start=1))
        verdict = judge(frames, phantom.truth.structures, phantom.geometry)
        levels.append(verdict.level)
        if verdict.level != "pass":
            print(len(levels) - 1, [finding.message for finding in verdict.findings])
    assert levels.count("fail") == 0
    assert levels.count("review") <= 2


def test_the_dice_that_a_model_expects_is_judged_by_structure_and_frame() -> None:
    frames = {1: healthy(), 2: healthy(1.0)}
    expected = {1: {LV_CAVITY: 0.80, LV_MYOCARDIUM: 0.70}, 2: {LV_CAVITY: 0.79, LV_MYOCARDIUM: 0.69}}
    verdict = judge(frames, STRUCTURES, GEOMETRY, expected_dice=expected)
    found = [(f.check, f.frame, f.value, f.level) for f in verdict.findings]
    assert found == [("predicted_dice", 2, 0.79, "review"), ("predicted_wall_dice", 2, 0.69, "review")]
    assert verdict.findings[0].message == "The model expects a Dice of 0.79 of its LV cavity in frame 2."
    assert (
        reasons(judge(frames, STRUCTURES, GEOMETRY))["predicted_dice"]
        == "the model does not tell the Dice that it expects"
    )
