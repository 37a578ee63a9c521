"""What lies in a workspace, read back through the public API."""

from pathlib import Path

import numpy as np
import pytest

import autolv
from autolv.core.errors import DataError, PlanError, TrainingError


def test_the_records_are_those_of_the_dataset(planned: Path) -> None:
    dataset = autolv.read_dataset("D", root=planned)
    fingerprint = autolv.read_fingerprint("D", root=planned)
    plan = autolv.read_plan("D", root=planned)
    assert [case.case for case in dataset.training] == [case.case for case in fingerprint.cases]
    assert len(dataset.training) == 8  # four patients, ED and ES
    assert plan.dataset == "D"
    assert plan.recommended in autolv.explain(plan)


def test_what_is_not_planned_says_so(planned: Path, tmp_path: Path) -> None:
    (tmp_path / "raw_data").symlink_to(planned / "raw_data")
    with pytest.raises(PlanError, match="no fingerprint"):
        autolv.read_fingerprint("D", root=tmp_path)
    with pytest.raises(PlanError, match="no plan"):
        autolv.read_plan("D", root=tmp_path)


def test_a_case_has_its_labels_as_channel_numbers_on_the_image_s_grid(planned: Path) -> None:
    fingerprint = autolv.read_fingerprint("D", root=planned)
    for known in fingerprint.cases[:2]:
        frame = autolv.read_case("D", known.case, root=planned)
        assert frame.labels.shape == frame.image.array.shape == known.shape
        assert frame.structures == ("lv_cavity", "lv_myocardium", "rv_cavity")
        for number, structure in enumerate(frame.structures, start=1):
            ml = (frame.labels == number).sum() * frame.image.geometry.voxel_ml
            assert ml == pytest.approx(known.volume_ml[structure])


def test_a_case_can_be_read_with_what_was_predicted(planned: Path, tmp_path: Path) -> None:
    dataset = autolv.read_dataset("D", root=planned)
    first, second = (case.case for case in dataset.training[:2])
    labels = planned / "raw_data" / "D" / "labelsTr"
    (tmp_path / f"{first}.nii.gz").write_bytes((labels / f"{second}.nii.gz").read_bytes())
    predicted = autolv.read_case("D", first, predictions=tmp_path, root=planned)
    reference = autolv.read_case("D", first, root=planned)
    assert np.array_equal(predicted.labels, autolv.read_case("D", second, root=planned).labels)
    assert np.array_equal(predicted.image.array, reference.image.array)
    assert not np.array_equal(predicted.labels, reference.labels)


def test_a_case_that_is_not_there_says_so(planned: Path) -> None:
    with pytest.raises(DataError, match=r"D has no case 'nobody'.*patient001_frame01"):
        autolv.read_case("D", "nobody", root=planned)
    with pytest.raises(DataError, match="no training case 'nobody'"):
        autolv.read_preprocessed("D", "nobody", root=planned)


def test_a_preprocessed_case_has_the_plan_s_spacing(planned: Path) -> None:
    case = autolv.read_dataset("D", root=planned).training[0].case
    block = autolv.read_plan("D", root=planned).configurations["2d_unet"].preprocessing
    stored = autolv.read_preprocessed("D", case, configuration="2d_unet", root=planned)
    assert stored.record.case == case
    assert stored.record.grid.spacing_mm[1:] == pytest.approx(block.in_plane_spacing_mm, rel=0.01)
    assert set(np.unique(stored.labels)) == {0, 1, 2, 3}


def test_patches_are_those_of_a_training_and_none_leaves_them_as_they_are(planned: Path) -> None:
    training = autolv.read_plan("D", root=planned).configurations["2d_unet"]
    drawn = autolv.training_patches("D", configuration="2d_unet", root=planned)
    again = autolv.training_patches("D", configuration="2d_unet", root=planned)
    plain = autolv.training_patches("D", configuration="2d_unet", augment="none", root=planned)
    later = autolv.training_patches("D", configuration="2d_unet", augment="none", iteration=1, root=planned)
    shape = (training.training.batch_size, *training.network.patch)
    assert drawn.images.shape == drawn.labels.shape == plain.images.shape == shape
    assert np.array_equal(drawn.images, again.images)
    assert drawn.cases == plain.cases  # the same places, whatever is done to them
    assert not np.array_equal(drawn.images, plain.images)
    assert not np.array_equal(later.images, plain.images)
    for image, name in zip(plain.images, plain.cases, strict=True):
        stored = autolv.read_preprocessed("D", name, configuration="2d_unet", root=planned).image
        inside = image[image != 0]  # beyond the image a patch is 0
        assert np.isin(inside, stored).all()


def test_patches_of_a_3d_configuration_are_stacks(planned: Path) -> None:
    patches = autolv.training_patches("D", configuration="3d_unet", root=planned)
    network = autolv.read_plan("D", root=planned).configurations["3d_unet"].network
    assert patches.images.shape[1:] == patches.labels.shape[1:] == network.patch


def test_a_fold_s_results_are_read_back(planned_small: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no validated fold"):
        autolv.read_fold(tmp_path)
    (place,) = autolv.train("D", configuration="2d_unet", root=planned_small, epochs=2, device="cpu", run="look",
                            precision="float32", layout="contiguous", compile="off")  # fmt: skip
    fold = autolv.read_fold(place)
    assert [row["epoch"] for row in fold.history] == [1.0, 2.0]
    assert all(row["loss"] > 0 and row["seconds"] > 0 for row in fold.history)
    assert fold.record.status == "validated"
    assert {case.patient for case in fold.evaluation.cases} == set(fold.record.validation_patients)
