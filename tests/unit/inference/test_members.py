"""Members share the frame and the place of the heart; the whole field is taken where that is not sure."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from autolv.core.geometry import Geometry, Volume
from autolv.inference import members as module
from autolv.inference.ensemble import most_probable
from autolv.inference.members import MemberNetwork, mean_of_members
from autolv.preprocessing.inverse import on_whole_grid
from autolv.schema.plan import Configuration

Configure = Callable[..., Configuration]
SPACING = (8.0, 1.5, 1.5)


class Bright(torch.nn.Module):
    """Says class 1 where the image is brighter than ``level``; notes the shape of every batch in ``seen``."""

    def __init__(self, level: float = 1.0) -> None:
        super().__init__()
        self.level = level
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        self.seen.append(tuple(x.shape))
        return (torch.cat([torch.full_like(x, 1.0), 4.0 * (x > self.level), 0 * x, 0 * x], dim=1),)

    @property
    def windows(self) -> int:
        return sum(shape[0] for shape in self.seen)


def frame(*boxes: tuple[int, int, int, int]) -> Volume:
    """A frame of 9 slices of 80 x 90, bright in ``boxes`` (y0, y1, x0, x1)."""
    array = np.random.default_rng(0).normal(50, 5, (9, 80, 90)).astype(np.float32)
    for y0, y1, x0, x1 in boxes:
        array[:, y0:y1, x0:x1] += 200
    return Volume(array=array, geometry=Geometry.from_spacing(SPACING, (9, 80, 90)))


def members(configurations: list[Configuration]) -> tuple[list[MemberNetwork], list[Bright]]:
    networks = [Bright().eval() for _ in configurations]
    weight = 1 / len(networks)
    return [
        MemberNetwork.of([network], one, weight=weight) for network, one in zip(networks, configurations, strict=True)
    ], networks


def whole(found: module.RunningMean) -> NDArray[np.float32]:
    return on_whole_grid(found.array, found.box, (9, 80, 90))


HEART = (20, 36, 40, 60)


def test_the_heart_is_looked_for_once(configuration: Configure) -> None:
    ensemble, (first, second, third) = members([configuration("2d_unet", patch=(32, 32))] * 3)
    mean = mean_of_members(ensemble, frame(HEART), locate=True, whole=False)
    assert first.windows == 5 * 9 + 9  # five slices in 3 x 3 windows, then one window in each of nine slices
    assert second.windows == third.windows == 9
    labels = most_probable(whole(mean))
    expected = np.zeros((9, 80, 90), np.uint8)
    expected[:, 20:36, 40:60] = 1
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("boxes", [(), (HEART, (60, 72, 4, 16))], ids=["nothing is found", "two places"])
def test_where_it_is_not_sure_all_members_predict_the_whole_field(
    boxes: tuple[tuple[int, int, int, int], ...], configuration: Configure
) -> None:
    ensemble, (first, second) = members([configuration("2d_unet", patch=(32, 32))] * 2)
    located = mean_of_members(ensemble, frame(*boxes), locate=True, whole=True)
    assert second.windows == 9 * 4 * 5 and first.windows == 5 * 9 + second.windows  # looked for once, in vain
    plain = mean_of_members(ensemble, frame(*boxes), locate=False, whole=True)
    np.testing.assert_array_equal(located.array, plain.array)
    assert located.box == plain.box


def test_a_2d_network_looks_and_a_3d_one_takes_its_place(configuration: Configure) -> None:
    deep = configuration("3d_unet", 3, patch=(9, 32, 32))
    ensemble, (three, two) = members([deep, configuration("2d_unet", patch=(32, 32))])
    mean = mean_of_members(ensemble, frame(HEART), locate=True, whole=True)
    assert three.seen == [(1, 1, 9, 32, 32)]
    assert two.windows == 5 * 9 + 9
    np.testing.assert_array_equal(most_probable(whole(mean)) == 1, frame(HEART).array > 150)


def test_on_another_grid_the_place_is_the_same(configuration: Configure) -> None:
    one, coarse = configuration("2d_unet", patch=(32, 32)), configuration("2d_coarse", spacing_mm=2.0, patch=(24, 24))
    both, (_, second) = members([one, coarse])
    mean = mean_of_members(both, frame(HEART), locate=True, whole=True)
    assert second.windows == 9
    found, truth = most_probable(whole(mean)) == 1, np.zeros((9, 80, 90), bool)
    truth[:, 20:36, 40:60] = True
    assert 2 * (found & truth).sum() > 0.95 * (found.sum() + truth.sum())


def test_a_member_whose_window_is_too_small_predicts_the_whole_field_alone(configuration: Configure) -> None:
    ensemble, (large, small) = members([configuration("a", patch=(40, 40)), configuration("b", patch=(16, 16))])
    mean_of_members(ensemble, frame(HEART), locate=True, whole=True)  # 20 columns do not fit 16
    assert {shape[-1] for shape in large.seen} == {40} and large.windows == 5 * 2 * 3 + 9
    assert small.windows == 9 * 9 * 11


def test_an_image_of_one_window_is_predicted_at_once(configuration: Configure) -> None:
    ensemble, (network,) = members([configuration("2d_unet", patch=(96, 96))])
    mean_of_members(ensemble, frame(HEART), locate=True, whole=True)
    assert network.windows == 9


@pytest.mark.parametrize("locate", [True, False])
def test_labels_alone_are_those_of_the_whole_probabilities(locate: bool, configuration: Configure) -> None:
    single, _ = members([configuration("2d_unet", patch=(32, 32), spacing_mm=1.7)])
    image = frame(HEART)
    part = mean_of_members(single, image, locate=locate, whole=False)
    all_ = mean_of_members(single, image, locate=locate, whole=True)
    assert part.array.size < image.array.size  # of 4 classes
    np.testing.assert_array_equal(most_probable(whole(part)), most_probable(whole(all_)))
    assert most_probable(whole(part)).any()


def test_no_member_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        mean_of_members([], frame(HEART), locate=True, whole=True)
