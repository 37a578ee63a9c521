"""Boxes: the smallest one, and crop, paste and pad as inverses of each other."""

import numpy as np
import pytest

from autolv.ops.crop import box_shape, crop, nonzero_box, pad_to, paste, whole_box, with_margin


def test_nonzero_box_is_the_smallest_that_holds_all_nonzero_voxels():
    array = np.zeros((4, 6, 8), dtype=np.float32)
    array[1, 2, 3] = 5.0
    array[2, 4, 6] = -1.0
    array[2, 3, 3] = np.nan
    assert nonzero_box(array) == ((1, 3), (2, 5), (3, 7))
    assert box_shape(nonzero_box(array)) == (2, 3, 4)


def test_nonzero_box_of_nothing_is_everything():
    assert nonzero_box(np.zeros((2, 3, 4))) == ((0, 2), (0, 3), (0, 4)) == whole_box((7, 2, 3, 4))


def test_nonzero_box_needs_three_axes():
    with pytest.raises(ValueError, match=r"\(z, y, x\)"):
        nonzero_box(np.ones((2, 2)))


def test_paste_undoes_crop_with_leading_axes_and_leaves_its_arguments_alone():
    array = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    before = array.copy()
    box = ((1, 3), (0, 2), (2, 5))
    part = crop(array, box)
    assert part.shape == (2, 2, 2, 3)
    back = paste(part, box, (3, 4, 5), fill=-1)
    np.testing.assert_array_equal(crop(back, box), part)
    assert (back == -1).sum() == 2 * (60 - 12)
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("box", [((0, 4), (0, 1), (0, 1)), ((1, 1), (0, 1), (0, 1)), ((-1, 1), (0, 1), (0, 1))])
def test_a_box_that_is_empty_or_leaves_the_array_is_refused(box):
    with pytest.raises(ValueError, match="does not lie inside"):
        crop(np.zeros((3, 3, 3)), box)


def test_pad_to_centres_and_crop_undoes_it():
    array = np.arange(1, 13, dtype=np.uint8).reshape(1, 3, 4)
    padded, box = pad_to(array, (4, 2, 7), fill=9)
    # z: 3 to add, 1 before; y: large enough; x: 3 to add, 1 before
    assert padded.shape == (4, 3, 7)
    assert box == ((1, 2), (0, 3), (1, 5))
    np.testing.assert_array_equal(crop(padded, box), array)
    assert padded.sum() == array.sum() + 9 * (4 * 3 * 7 - 12)
    assert padded.dtype == np.uint8


def test_a_margin_ends_at_the_arrays_faces():
    assert with_margin(((0, 2), (3, 5), (1, 9)), (4, 6, 9)) == ((0, 3), (2, 6), (0, 9))
    assert with_margin(((1, 2), (1, 2), (1, 2)), (7, 9, 9, 9), margin=3) == ((0, 5), (0, 5), (0, 5))


def test_the_box_is_that_of_the_nonzero_indices_on_random_arrays():
    for seed in range(20):
        array = (np.random.default_rng(seed).random((5, 11, 9)) < 0.01).astype(np.float32)
        if array.any():
            expected = tuple((int(i.min()), int(i.max()) + 1) for i in np.nonzero(array))
            assert nonzero_box(array) == expected
