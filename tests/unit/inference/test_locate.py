"""The heart is found in a few slices, or it is not sure; then one window about it is enough."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from autolv.inference.locate import Found, coarse_slices, find_heart, reaches_border, window_about
from autolv.inference.windows import predict_logits
from autolv.schema.plan import Network

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


def test_the_window_is_centred_and_stays_in_the_image() -> None:
    assert window_about(Found(low=(20, 40), high=(36, 60)), (80, 90), _WINDOW) == (12, 34)
    assert window_about(Found(low=(0, 80), high=(10, 90)), (80, 90), _WINDOW) == (0, 58)


def test_labels_at_a_side_are_seen_except_where_the_image_ends() -> None:
    inside, left = _stack((20, 36, 40, 60)), _stack((20, 36, 35, 60))
    assert not reaches_border(inside, (12, 34), _WINDOW)
    assert reaches_border(left, (12, 34), _WINDOW)
    assert not reaches_border(_stack((0, 10, 5, 15)), (0, 0), _WINDOW)
    assert reaches_border(_stack((30, 32, 5, 15)), (0, 0), _WINDOW)


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


@pytest.mark.parametrize("patch", [(32, 32), (9, 32, 32)])
def test_about_the_heart_the_logits_are_the_networks_and_outside_lies_background(patch: tuple[int, ...]) -> None:
    image = _image((20, 36, 40, 60), (2, 6, 2, 6))
    whole, located = Threshold().eval(), Threshold().eval()
    everywhere = predict_logits(whole, image, _plan(patch))
    logits = predict_logits(located, image, _plan(patch), locate=True)
    assert located.windows < whole.windows
    np.testing.assert_allclose(logits[:, :, 12:44, 34:66], everywhere[:, :, 12:44, 34:66], rtol=1e-5)
    labels = logits.argmax(0)
    assert (labels == 1).sum() == 9 * 16 * 20  # the false place is gone
    assert (everywhere.argmax(0) == 1).sum() == 9 * (16 * 20 + 16)


@pytest.mark.parametrize(
    "boxes",
    [
        pytest.param((), id="nothing is found"),
        pytest.param(((20, 36, 40, 60), (60, 72, 4, 16)), id="two places"),
        pytest.param(((20, 50, 40, 69),), id="it reaches the window's border"),
    ],
)
def test_where_it_is_not_sure_the_whole_field_is_predicted(boxes: tuple[tuple[int, int, int, int], ...]) -> None:
    image = _image(*boxes)
    everywhere = predict_logits(Threshold().eval(), image, _plan((32, 32)))
    np.testing.assert_array_equal(predict_logits(Threshold().eval(), image, _plan((32, 32)), locate=True), everywhere)


def test_an_image_of_one_window_is_predicted_once() -> None:
    network = Threshold().eval()
    predict_logits(network, _image((20, 36, 40, 60))[:, :32, 34:66], _plan((32, 32)), locate=True)
    assert network.windows == 9
