"""The heart is found in a few slices, or it is not sure; then one window about it is enough."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from autolv.inference.locate import (
    Found,
    apart_from_heart,
    box_of,
    coarse_slices,
    find_heart,
    fits,
    reaches_border,
    window_about,
)
from autolv.inference.windows import SlidingWindows
from autolv.schema.plan import Network
from autolv.schema.preprocessed import Grid

_WINDOW = (32, 32)


def _stack(*boxes: tuple[int, int, int, int], slices: int = 3) -> NDArray[np.uint8]:
    labels = np.zeros((slices, 80, 90), dtype=np.uint8)
    for y0, y1, x0, x1 in boxes:
        labels[:, y0:y1, x0:x1] = 1
    return labels


def test_slices_lie_within_the_stack_and_leave_out_its_ends() -> None:
    assert coarse_slices(1) == (0,)
    assert coarse_slices(11) == (2, 4, 5, 7, 8)
    for count in range(1, 30):
        found = coarse_slices(count)
        assert 1 <= len(found) <= 5 and found[0] >= 0 and found[-1] < count and sorted(set(found)) == list(found)
        assert count < 5 or (found[0] > 0 and found[-1] < count - 1)


def test_one_heart_is_found_where_it_lies() -> None:
    assert find_heart(_stack((20, 36, 40, 60)), _WINDOW) == Found(low=(20, 40), high=(36, 60))


def test_small_false_places_do_not_matter() -> None:
    assert find_heart(_stack((20, 36, 40, 60), (2, 6, 2, 6)), _WINDOW) == Found(low=(20, 40), high=(36, 60))


@pytest.mark.parametrize(
    "boxes",
    [
        pytest.param((), id="nothing"),
        pytest.param(((20, 36, 40, 60), (60, 72, 4, 16)), id="two places of like size"),
        pytest.param(((20, 23, 40, 43),), id="too small"),
        pytest.param(((20, 60, 40, 60),), id="larger than the window"),
    ],
)
def test_what_does_not_look_like_one_heart_is_not_sure(boxes: tuple[tuple[int, int, int, int], ...]) -> None:
    assert find_heart(_stack(*boxes), _WINDOW) is None


def _painted(*parts: tuple[int, slice, int, int, int, int], slices: int = 5) -> NDArray[np.uint8]:
    """Return labels with boxes: structure, slices, and rows and columns from and to."""
    labels = np.zeros((slices, 80, 90), dtype=np.uint8)
    for structure, z, y0, y1, x0, x1 in parts:
        labels[z, y0:y1, x0:x1] = structure
    return labels


_EACH = slice(None)
_HEART = ((1, _EACH, 20, 28, 40, 48), (2, _EACH, 28, 34, 40, 48), (3, _EACH, 20, 34, 48, 54))


def test_a_larger_wall_with_a_cavity_but_no_right_ventricle_is_no_rival() -> None:
    organ = ((1, slice(0, 3), 50, 66, 4, 18), (2, slice(0, 3), 66, 76, 4, 18))
    assert (np.isin(_painted(*organ), (1, 2))).sum() > 0.6 * (_painted(*_HEART) > 0).sum()
    assert find_heart(_painted(*_HEART, *organ), _WINDOW) == Found(low=(20, 40), high=(34, 54))


def test_a_whole_heart_elsewhere_is_a_rival_and_one_in_few_slices_is_not() -> None:
    there = [(structure, 40 + y0, 40 + y1, x0 - 30, x1 - 30) for structure, _, y0, y1, x0, x1 in _HEART]
    often, seldom = (tuple((s, z, *box) for s, *box in there) for z in (_EACH, slice(1, 3)))
    assert find_heart(_painted(*_HEART, *often), _WINDOW) is None
    assert find_heart(_painted(*_HEART, *seldom), _WINDOW) == Found(low=(20, 40), high=(34, 54))


def test_where_no_place_has_all_structures_pixels_count() -> None:
    wall = (2, _EACH, 20, 34, 40, 54)
    small, large = (1, _EACH, 60, 64, 4, 8), (1, _EACH, 60, 70, 4, 18)
    assert find_heart(_painted(wall, small), _WINDOW) == Found(low=(20, 40), high=(34, 54))
    assert find_heart(_painted(wall, large), _WINDOW) is None


def test_what_hangs_on_to_the_heart_in_one_slice_does_not_widen_its_box() -> None:
    tail = (2, slice(2, 3), 30, 34, 20, 40)
    assert find_heart(_painted(*_HEART, tail), _WINDOW) == Found(low=(20, 40), high=(34, 54))


def test_the_box_of_labels_is_theirs_in_plane() -> None:
    assert box_of(_painted(*_HEART)) == Found(low=(20, 40), high=(34, 54))
    with pytest.raises(ValueError, match="nothing is labelled"):
        box_of(_painted())


def test_the_window_is_centred_and_stays_in_the_image() -> None:
    assert window_about(Found(low=(20, 40), high=(36, 60)), (80, 90), _WINDOW) == (12, 34)
    assert window_about(Found(low=(0, 80), high=(10, 90)), (80, 90), _WINDOW) == (0, 58)


def test_labels_at_a_side_are_seen_except_where_the_image_ends() -> None:
    def of_window(labels: NDArray[np.uint8], y: int, x: int) -> NDArray[np.uint8]:
        return labels[:, y : y + 32, x : x + 32]

    inside, left = _stack((20, 36, 40, 60)), _stack((20, 36, 35, 60))
    assert not reaches_border(of_window(inside, 12, 34), (12, 34), (80, 90))
    assert reaches_border(of_window(left, 12, 34), (12, 34), (80, 90))
    assert not reaches_border(of_window(_stack((0, 10, 5, 15)), 0, 0), (0, 0), (80, 90))
    assert reaches_border(of_window(_stack((30, 32, 5, 15)), 0, 0), (0, 0), (80, 90))
    assert not reaches_border(of_window(_stack((78, 80, 80, 90)), 48, 58), (48, 58), (80, 90))
    assert reaches_border(of_window(_stack((60, 70, 86, 89)), 48, 57), (48, 57), (80, 90))


class Threshold(torch.nn.Module):
    """Says class 1 where the image is bright, and background elsewhere; counts the windows it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.windows = 0

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        self.windows += len(x)
        bright = 4.0 * (x > 0.5)
        return (torch.cat([torch.full_like(x, 1.0), bright, 0 * x, 0 * x], dim=1),)


def _image(*boxes: tuple[int, int, int, int]) -> NDArray[np.float32]:
    return _stack(*boxes, slices=9).astype(np.float32)


def _plan(patch: tuple[int, ...]) -> Network:
    dims = len(patch)
    return Network(
        architecture="unet", patch=patch, in_channels=1, classes=4, features=(4, 8), kernels=((3,) * dims,) * 2,
        strides=((1,) * dims, (1, 2, 2)[-dims:]), blocks=(1, 1), decoder_blocks=(1,), heads=1,
    )  # fmt: skip


def test_what_lies_apart_from_the_heart_is_told_and_a_slice_without_labels_does_not_cut_it() -> None:
    labels = _stack((20, 36, 40, 60), (20, 36, 62, 70), slices=5)
    labels[2, :, :61] = 0  # the heart: slices 0, 1, 3 and 4
    apart = apart_from_heart(labels)
    expected = np.zeros_like(apart)
    expected[:, 20:36, 62:70] = True
    np.testing.assert_array_equal(apart, expected)
    assert not apart_from_heart(_stack((20, 36, 40, 60))).any()
    assert not apart_from_heart(_stack()).any()
    touching = _stack((20, 36, 40, 60), (36, 40, 60, 64))  # by a corner
    assert not apart_from_heart(touching).any()


def test_a_second_place_in_the_window_is_certain_background() -> None:
    image = _image((20, 36, 40, 54), (24, 32, 57, 59))
    windows = SlidingWindows(Threshold().eval(), _plan((32, 32)))
    logits = windows.about_heart(image, Found(low=(20, 40), high=(36, 54)))
    assert logits is not None
    _, (y, _), (x, _) = logits.box
    assert (logits.array.argmax(0) == 1).sum() == 9 * 16 * 14
    second = logits.array[:, :, 24 - y : 32 - y, 57 - x : 59 - x]
    assert (second[0] == 20.0).all() and (second[1:] == 0.0).all()


@pytest.mark.parametrize("patch", [(32, 32), (9, 32, 32)])
def test_about_the_heart_the_logits_are_the_networks(patch: tuple[int, ...]) -> None:
    image = _image((20, 36, 40, 60), (2, 6, 2, 6))
    whole, located = Threshold().eval(), Threshold().eval()
    everywhere = SlidingWindows(whole, _plan(patch)).whole_field(image).array
    windows = SlidingWindows(located, _plan(patch))
    found = windows.find_heart(image)
    assert found == Found(low=(20, 40), high=(36, 60))
    logits = windows.about_heart(image, found)
    assert logits is not None and logits.box == ((0, 9), (12, 44), (34, 66))
    assert located.windows < whole.windows
    np.testing.assert_allclose(logits.array, everywhere[:, :, 12:44, 34:66], rtol=1e-5)
    assert (logits.array.argmax(0) == 1).sum() == 9 * 16 * 20  # the false place is gone
    assert (everywhere.argmax(0) == 1).sum() == 9 * (16 * 20 + 16)


@pytest.mark.parametrize(
    "boxes",
    [pytest.param((), id="nothing is found"), pytest.param(((20, 36, 40, 60), (60, 72, 4, 16)), id="two places")],
)
def test_a_place_that_is_not_sure_is_none(boxes: tuple[tuple[int, int, int, int], ...]) -> None:
    assert SlidingWindows(Threshold().eval(), _plan((32, 32))).find_heart(_image(*boxes)) is None


def test_a_window_that_cuts_the_heart_is_put_about_what_it_shows() -> None:
    image = _image((20, 40, 40, 60))
    network = Threshold().eval()
    logits = SlidingWindows(network, _plan((32, 32))).about_heart(image, Found(low=(10, 40), high=(30, 60)))
    assert logits is not None and logits.box == ((0, 9), (12, 44), (34, 66))  # rows 4 to 36 are first, which cut it
    assert (logits.array.argmax(0) == 1).sum() == 9 * 20 * 20
    assert network.windows == 2 * 9


def test_labels_at_the_windows_border_and_hearts_that_do_not_fit_are_left_to_the_whole_field() -> None:
    windows = SlidingWindows(Threshold().eval(), _plan((32, 32)))
    image = _image((20, 50, 40, 68))
    assert windows.about_heart(image, Found(low=(20, 40), high=(48, 68))) is None  # it goes on to row 50
    assert windows.about_heart(image, Found(low=(20, 40), high=(50, 60))) is None  # 30 of 32 rows
    assert windows.about_heart(image, Found(low=(20, 40), high=(23, 43))) is None


def test_an_image_no_larger_than_one_window_needs_no_place() -> None:
    windows = SlidingWindows(Threshold().eval(), _plan((32, 32)))
    assert windows.fits_one_window((9, 32, 30)) and not windows.fits_one_window((9, 33, 20))


def test_the_window_of_a_padded_image_is_cut_back_to_it() -> None:
    windows = SlidingWindows(Threshold().eval(), _plan((32, 32)))
    image = _image((4, 20, 40, 60))[:, :24]  # lower than the window: 4 rows are put on either side
    found = windows.find_heart(image)
    assert found == Found(low=(4, 40), high=(20, 60))
    logits = windows.about_heart(image, found)
    assert logits is not None and logits.box == ((0, 9), (0, 24), (34, 66))
    labels = np.zeros(image.shape, dtype=np.uint8)
    labels[:, :, 34:66] = logits.array.argmax(0)
    np.testing.assert_array_equal(labels, image > 0.5)


def _grid(box: tuple[tuple[int, int], ...], shape: tuple[int, int, int]) -> Grid:
    spacing = (8.0, 1.0, 1.0)
    return Grid(
        original_shape=(3, 100, 100), original_spacing_mm=spacing, box=box, shape=shape, spacing_mm=spacing, clip=None,
        mean=0.0, sd=1.0,
    )  # fmt: skip


def test_a_place_is_the_same_on_another_grid() -> None:
    here = _grid(((0, 3), (10, 90), (0, 100)), (3, 40, 50))  # voxels of 2 x 2, the crop begins at row 10
    there = _grid(((0, 3), (0, 100), (20, 100)), (3, 100, 20))  # 1 x 4, from column 20
    found = Found(low=(5, 20), high=(15, 31))
    assert found.on(here, here) == found
    # rows 5 to 15 are 20 to 40 of the frame; columns 20 to 31 are 40 to 62, that is 20 to 42 after the crop, over 4
    assert found.on(there, here) == Found(low=(20, 5), high=(40, 11))
    assert fits(found, (20, 20)) and not fits(found, (11, 11))
