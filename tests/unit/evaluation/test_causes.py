"""Each rule of the error analysis finds what was broken for it, and nothing in a right prediction."""

from __future__ import annotations

import numpy as np
import pytest

from autolv.evaluation.causes import (
    Compared,
    extra_basal_slices,
    far_false_positives,
    likely_causes,
    lv_missed_at_apex,
    lv_missed_at_base,
    rv_confused,
    rv_missed,
    small_systolic_cavity,
    unusual_image,
)
from autolv.schema.fingerprint import CaseFingerprint, Intensity

STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")


def heart() -> np.ndarray:
    """Slices 1 (base) to 6 (apex) of 8: an LV that tapers from 18 x 18 to 12 x 12; in the basal four an RV of 12 x 6."""
    labels = np.zeros((8, 80, 80), dtype=np.uint8)
    for z in range(1, 7):
        half = 9 - z // 2
        labels[z, 40 - half : 40 + half, 40 - half : 40 + half] = 2
        labels[z, 42 - half : 38 + half, 42 - half : 38 + half] = 1
        if z < 5:
            labels[z, 34:46, 24:30] = 3
    return labels


def compared(prediction: np.ndarray, reference: np.ndarray | None = None, phase: str | None = "ED") -> Compared:
    return Compared(prediction=prediction, reference=heart() if reference is None else reference, structures=STRUCTURES,
                    spacing_mm=(10.0, 1.0, 1.0), phase=phase)  # fmt: skip


def test_nothing_is_found_in_a_right_prediction() -> None:
    assert likely_causes(compared(heart())) == ()


def test_an_lv_missed_at_the_apex() -> None:
    labels = heart()
    labels[5:7] = 0
    assert lv_missed_at_apex(compared(labels)) == "LV missed in 2 apical slices"
    assert lv_missed_at_base(compared(labels)) == ""


def test_the_same_stack_upside_down_is_no_other() -> None:
    labels = heart()
    labels[6] = 0
    turned = compared(labels[::-1], heart()[::-1])
    assert likely_causes(turned) == ("LV missed in 1 apical slice",)


def test_an_lv_missed_at_the_base_and_one_above_it() -> None:
    labels = heart()
    labels[1] = 0
    assert lv_missed_at_base(compared(labels)) == "LV missed in 1 basal slice"
    labels = heart()
    labels[0] = labels[1]
    assert extra_basal_slices(compared(labels)) == "LV drawn in 1 slice above the reference's base"
    assert extra_basal_slices(compared(heart())) == ""


def test_an_rv_taken_for_the_lv() -> None:
    labels = heart()
    labels[2, 34:46, 24:30] = 1  # 72 voxels of 10 mm3
    assert rv_confused(compared(labels)) == "RV and LV confused in 0.7 ml, 100 % of all wrong voxels"
    labels[3][labels[3] == 2] = 0  # 240 - 96 = 60 of the wall and more: now the confusion is the smaller part
    labels[4:7][labels[4:7] > 0] = 0
    assert rv_confused(compared(labels)) == ""


def test_an_rv_that_is_not_there() -> None:
    labels = heart()
    labels[1:3][labels[1:3] == 3] = 0
    assert rv_missed(compared(labels)) == "RV missed in 2 slices"
    assert rv_missed(compared(heart(), labels)) == ""  # an RV too much is not missed


def test_labels_far_from_the_heart() -> None:
    labels = heart()
    labels[3, 75:79, 75:79] = 2  # the reference ends at row 48, and 48 + 20 < 75
    assert far_false_positives(compared(labels)) == "0.2 ml labelled more than 20 mm outside the heart"
    near = heart()
    near[3, 60:64, 60:64] = 2
    assert far_false_positives(compared(near)) == ""
    assert far_false_positives(compared(labels, np.zeros_like(labels))) == ""  # without a heart nothing is far from it


@pytest.mark.parametrize(("side", "words"), [(4, "75 %"), (20, "")])  # 12 of 16 on the contour; 76 of 400
def test_a_small_systolic_cavity(side: int, words: str) -> None:
    labels = np.zeros((3, 40, 40), dtype=np.uint8)
    labels[1, 8 : 8 + side, 8 : 8 + side] = 1
    found = small_systolic_cavity(compared(labels, labels, "ES"))
    assert (words in found) if words else found == ""
    assert small_systolic_cavity(compared(labels, labels, "ED")) == ""


def fingerprint(patient: str, mean: float, slices_mm: float = 8.0) -> CaseFingerprint:
    image = Intensity(mean=100.0, sd=50.0, p005=0.0, p50=90.0, p995=300.0)
    inside = Intensity(mean=mean, sd=40.0, p005=50.0, p50=mean, p995=300.0)
    return CaseFingerprint(
        case=f"{patient}_ED", patient=patient, phase="ED", group=None, image_hash=patient, shape=(8, 80, 80),
        spacing_mm=(slices_mm, 1.5, 1.5), orientation="kji", nonzero_box_shape=(8, 80, 80), intensity=image,
        foreground_intensity=inside, heart_extent_mm=(80.0, 90.0, 90.0), heart_centre=(0.5, 0.5, 0.5), heart_slices=8,
        central_intensity=image, volume_ml={}, slices={},
    )  # fmt: skip


def test_an_image_unlike_those_of_the_other_patients() -> None:
    others = [fingerprint("b", 150.0), fingerprint("c", 175.0)]  # brightness 1.0 and 1.5
    assert unusual_image(fingerprint("a", 160.0), others) == ""
    odd = fingerprint("a", 250.0, slices_mm=5.0)  # brightness 3
    text = unusual_image(odd, [*others, odd])  # its own other frame says nothing
    assert text == ("unlike the other images: slice distance [mm] 5.00, other patients 8.00 to 8.00; "
                    "brightness of the heart 3.00, other patients 1.00 to 1.50")  # fmt: skip
    assert unusual_image(odd, [odd]) == ""
