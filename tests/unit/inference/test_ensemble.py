"""Ensembles: the mean of probabilities, at once or one by one, and the most probable class."""

import numpy as np
import pytest

from autolv.inference.ensemble import RunningMean, mean_in_box, mean_probabilities, most_probable
from autolv.inference.mean_of_logits import mean_of_logits
from autolv.inference.windows import Logits


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(axis=0))
    return (e / e.sum(axis=0)).astype(np.float32)


def test_probabilities_are_averaged_not_logits() -> None:
    # one voxel, two classes: a member with loud logits says 0, two quiet ones say 1.
    # logits: mean (10 - 1 - 1) / 3 = 2.67 for class 0; probabilities: (1.000 + 0.269 + 0.269) / 3 = 0.5126 for class 0
    # and with logits -1.1: 0.2497, so (1 + 2 * 0.2497) / 3 = 0.4998 < 0.5, class 1
    members = [softmax(np.array([v, 0.0]).reshape(2, 1, 1, 1)) for v in (10.0, -1.1, -1.1)]
    mean = mean_probabilities(members)
    assert mean[0, 0, 0, 0] == pytest.approx((0.99995 + 2 * 0.24974) / 3, abs=1e-5)
    assert most_probable(mean)[0, 0, 0] == 1
    assert most_probable(mean_probabilities([np.float32([[[[(10 - 1.1 - 1.1) / 3]]], [[[0]]]])]))[0, 0, 0] == 0


def test_folds_of_nnunet_are_averaged_as_logits_in_half_precision() -> None:
    def says(*values: float) -> Logits:
        return Logits(array=np.array(values, np.float32).reshape(2, 1, 1, 1), box=((0, 1),) * 3)

    # the same members as above: here the loud one wins. 7.75 / 3 = 2.5833 lies between 2.582 and 2.584, 1/512 apart
    folds = [says(v, 0.0) for v in (10.0, -1.125, -1.125)]
    found = mean_of_logits(iter(folds))
    assert found.array.dtype == np.float32 and found.box == folds[0].box
    np.testing.assert_array_equal(found.array.ravel(), [1323 / 512, 0.0])  # 2.58398
    np.testing.assert_array_equal(folds[0].array.ravel(), [10.0, 0.0])
    # from 2048 on there are even numbers alone: 2048 + 1 is 2048, 2050 + 1 is 2052
    np.testing.assert_array_equal(
        mean_of_logits([says(2048.0, 2050.0), says(1.0, 1.0)]).array.ravel(), [1024.0, 1026.0]
    )
    assert mean_of_logits(folds[:1]) is folds[0]
    with pytest.raises(ValueError, match="at least one fold"):
        mean_of_logits([])


def test_a_tie_goes_to_whom_the_order_names_first() -> None:
    tied = np.array([[0.1, 0.1, 0.4], [0.4, 0.2, 0.2], [0.1, 0.3, 0.0], [0.4, 0.3, 0.4]])
    assert most_probable(tied).tolist() == [1, 2, 0]
    assert most_probable(tied, (0, 3, 2, 1)).tolist() == [3, 3, 0]


def test_one_member_is_itself_bit_for_bit_and_is_not_changed() -> None:
    member = softmax(np.random.default_rng(0).normal(size=(4, 2, 3, 5)))
    before = member.copy()
    mean = mean_probabilities([member])
    np.testing.assert_array_equal(mean, member)
    mean += 1
    mean_probabilities([member, member * 0])
    np.testing.assert_array_equal(member, before)


def test_the_mean_sums_to_one_and_takes_an_iterator() -> None:
    rng = np.random.default_rng(1)
    mean = mean_probabilities(softmax(rng.normal(size=(4, 2, 3, 5)) * 5) for _ in range(7))
    np.testing.assert_allclose(mean.sum(axis=0), 1.0, atol=1e-6)


def test_equal_members_give_themselves() -> None:
    member = softmax(np.random.default_rng(0).normal(size=(4, 2, 3, 5)))
    np.testing.assert_allclose(mean_probabilities([member] * 5), member, rtol=1e-6)


def test_no_member_and_other_grids_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        mean_probabilities([])
    with pytest.raises(ValueError, match="one grid"):
        mean_probabilities([np.zeros((4, 2, 3, 5), np.float32), np.zeros((4, 1, 3, 5), np.float32)])


def test_a_running_mean_is_the_mean_of_the_members_on_the_whole_grid() -> None:
    rng = np.random.default_rng(3)
    boxes = [((0, 2), (3, 7), (2, 9)), ((0, 2), (3, 7), (2, 9)), ((1, 3), (0, 5), (4, 11)), ((0, 1), (0, 1), (2, 3))]
    parts = [softmax(rng.normal(size=(4, *(b - a for a, b in box)))) for box in boxes]
    weights = (0.5, 0.125, 0.125, 0.25)
    expected = np.zeros((4, 4, 8, 12), np.float32)
    for part, ((z0, z1), (y0, y1), (x0, x1)), weight in zip(parts, boxes, weights, strict=True):
        member = np.zeros((4, 4, 8, 12), np.float32)
        member[0] = 1
        member[:, z0:z1, y0:y1, x0:x1] = part
        expected += weight * member
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)):
        first, *others = order
        mean = RunningMean(parts[first].copy(), boxes[first], weights[first])
        for n in others:
            before = parts[n].copy()
            mean.add(parts[n], boxes[n], weights[n])
            np.testing.assert_array_equal(parts[n], before)
        assert mean.box == ((0, 3), (0, 7), (2, 11))
        np.testing.assert_allclose(mean.array, expected[:, 0:3, 0:7, 2:11], atol=1e-6)
    with pytest.raises(ValueError, match="same classes"):
        mean.add(parts[0][:3], boxes[0], 0.1)


def test_a_running_mean_of_one_member_is_that_member_bit_for_bit() -> None:
    member = softmax(np.random.default_rng(0).normal(size=(4, 2, 3, 5)))
    np.testing.assert_array_equal(RunningMean(member.copy(), ((0, 2), (0, 3), (0, 5))).array, member)


def test_most_probable_is_argmax_with_the_lower_class_on_ties() -> None:
    values = np.random.default_rng(2).integers(0, 4, size=(4, 3, 20, 20)).astype(np.float32)  # full of ties
    before = values.copy()
    labels = most_probable(values)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, values.argmax(axis=0))
    np.testing.assert_array_equal(values, before)


def test_most_probable_refuses_what_is_no_probability_map() -> None:
    with pytest.raises(ValueError, match="classes, z, y, x"):
        most_probable(np.zeros(4))


def test_a_mean_in_boxes_is_that_of_whole_grids_where_the_background_is_certain_outside():
    rng = np.random.default_rng(3)
    boxes = [((0, 2), (1, 4), (2, 6)), ((1, 3), (0, 3), (4, 8)), ((0, 0), (0, 0), (0, 0))]
    members, grids = [], []
    for box in boxes:
        sides = tuple(slice(*side) for side in box)
        grid = np.zeros((4, 3, 5, 9), dtype=np.float32)
        grid[0] = 1.0
        inside = softmax(rng.normal(size=grid[(slice(None), *sides)].shape)).astype(np.float32)
        grid[(slice(None), *sides)] = inside
        members.append((inside, box))
        grids.append(grid)
    for chosen in ([0], [0, 1], [1, 2], [0, 1, 2]):
        mean, box = mean_in_box([members[i] for i in chosen])
        whole = np.zeros((4, 3, 5, 9), dtype=np.float32)
        whole[0] = 1.0
        whole[(slice(None), *(slice(*side) for side in box))] = mean
        np.testing.assert_array_equal(whole, mean_probabilities([grids[i] for i in chosen]))
    assert mean_in_box(members[2:])[0].size == 0
