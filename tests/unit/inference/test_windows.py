"""Windows put together again: constant in, constant out; known networks; slices that do not know of each other."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from autolv.core.errors import ModelError
from autolv.inference.windows import SlidingWindows
from autolv.networks import build_network
from autolv.runtime.device import with_weights_in
from autolv.schema.plan import Network

Plans = Callable[[int, tuple[int, ...]], Network]


def predict_logits(
    network: torch.nn.Module, image: NDArray[np.float32], plan: Network, **way: Any
) -> NDArray[np.float32]:
    logits = SlidingWindows(network, plan, **way).whole_field(image)
    assert logits.box == tuple((0, size) for size in image.shape)
    return logits.array


class Constant(torch.nn.Module):
    """Says 1, 2, 3, 4 for the four classes everywhere."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        values = torch.arange(1.0, 5.0).reshape(1, 4, *[1] * (x.ndim - 2))
        return (values.expand(len(x), 4, *x.shape[2:]),)


class Echo(torch.nn.Module):
    """Says what it sees, times 1, 2, 3, 4."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (torch.cat([x, 2 * x, 3 * x, 4 * x], dim=1), x[:, :, ::2])


class Column(torch.nn.Module):
    """Says how far a voxel lies from the left side of the window that it is in."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ramp = torch.arange(float(x.shape[-1])).expand(x.shape)
        return (torch.cat([ramp] * 4, dim=1),)


class Watcher(torch.nn.Module):
    """Notes the shape of each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        self.seen.append(tuple(x.shape))
        return (torch.cat([x] * 4, dim=1),)


CASES = [
    pytest.param(2, (16, 16), (3, 37, 50), id="2d, many windows"),
    pytest.param(2, (16, 16), (2, 9, 40), id="2d, one axis below the patch"),
    pytest.param(2, (64, 64), (2, 9, 13), id="2d, all below the patch"),
    pytest.param(3, (4, 16, 16), (9, 37, 30), id="3d, many windows"),
    pytest.param(3, (8, 16, 16), (3, 16, 21), id="3d, fewer slices than the patch"),
]


@pytest.mark.parametrize(("dimensions", "patch", "shape"), CASES)
def test_constant_in_constant_out_to_the_border(
    dimensions: int, patch: tuple[int, ...], shape: tuple[int, ...], network_plan: Plans
) -> None:
    logits = predict_logits(Constant().eval(), np.ones(shape, np.float32), network_plan(dimensions, patch))
    assert logits.shape == (4, *shape) and logits.dtype == np.float32
    for number, value in enumerate((1.0, 2.0, 3.0, 4.0)):
        np.testing.assert_allclose(logits[number], value, rtol=1e-6)


@pytest.mark.parametrize(("dimensions", "patch", "shape"), CASES)
@pytest.mark.parametrize("mirror_axes", [(), (-1,), (-2, -1)])
def test_a_network_that_echoes_gives_the_image_back(
    dimensions: int, patch: tuple[int, ...], shape: tuple[int, ...], mirror_axes: tuple[int, ...], network_plan: Plans
) -> None:
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    before = image.copy()
    logits = predict_logits(Echo().eval(), image, network_plan(dimensions, patch), mirror_axes=mirror_axes)
    for number in range(4):
        np.testing.assert_allclose(logits[number], (number + 1) * image, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(image, before)


def test_two_windows_meet_under_their_weights(network_plan: Plans) -> None:
    # 12 columns, windows of 8 from 0 and 4: in column 4 the first window says 4 at distance 0.5 from its centre (3.5),
    # the second 0 at distance 3.5 from its own (7.5); sigma = 1. Weighted: 4 exp(-1/8) / (exp(-1/8) + exp(-49/8))
    logits = predict_logits(Column().eval(), np.ones((1, 8, 12), np.float32), network_plan(2, (8, 8)))
    expected = 4 * np.exp(-0.125) / (np.exp(-0.125) + np.exp(-6.125))
    np.testing.assert_allclose(logits[0, 0, :, 4], expected, rtol=1e-5)
    np.testing.assert_allclose(logits[0, 0, :, :4], np.broadcast_to(np.arange(4.0), (8, 4)), rtol=1e-6)
    np.testing.assert_allclose(logits[0, 0, :, 5] + logits[0, 0, :, 6], 7.0, rtol=1e-5)  # 5w + 1v and 2w + 6v


def test_mirroring_averages_over_all_combinations(network_plan: Plans) -> None:
    # mirrored along x, the column of 8 reads 7 - x: the mean with x is 3.5 everywhere; along y nothing changes
    image = np.ones((2, 8, 8), np.float32)
    both = predict_logits(Column().eval(), image, network_plan(2, (8, 8)), mirror_axes=(-2, -1))
    np.testing.assert_allclose(both, 3.5)
    upright = predict_logits(Column().eval(), image, network_plan(2, (8, 8)), mirror_axes=(-2,))
    np.testing.assert_allclose(upright[0, 0, 0], np.arange(8.0))


def test_a_network_of_volumes_is_mirrored_across_slices_too(network_plan: Plans) -> None:
    class Deep(torch.nn.Module):
        """Says how far a voxel lies from the first slice of the window."""

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            ramp = torch.arange(float(x.shape[2])).reshape(-1, 1, 1).expand(x.shape)
            return (torch.cat([ramp] * 4, dim=1),)

    image = np.ones((4, 8, 8), np.float32)
    turned = predict_logits(Deep().eval(), image, network_plan(3, (4, 8, 8)), mirror_axes=(-3, -1))
    np.testing.assert_allclose(turned, 1.5)  # the mean of z and 3 - z


def test_windows_meet_in_half_precision_as_nnunet_has_them(network_plan: Plans) -> None:
    # as above, from the centre 4 in place of 3.5, in row 4 (weight 1 there): in column 4 the first window says 4 with weight
    # 10, the second 0 with 10 exp(-8) = 0.0034. From 8 to 16 half precision has steps of 1/128: the second is lost
    logits = predict_logits(Column().eval(), np.ones((1, 8, 12), np.float32), network_plan(2, (8, 8)), in_half=True)
    assert logits.dtype == np.float32
    assert logits[0, 0, 4, 4] == 4.0
    # in column 6 they say 6 and 2 with weights 10 exp(-2) = 1.353 twice: each product, each sum, the quotient are rounded
    w = np.float16(10 * np.exp(-2.0))
    total = np.float16(np.float16(6 * np.float32(w)) + np.float32(2 * np.float32(w)))
    assert logits[0, 0, 4, 6] == np.float16(np.float32(total) / np.float32(np.float16(2 * w)))
    np.testing.assert_array_equal(logits, logits.astype(np.float16).astype(np.float32))


def test_in_half_precision_a_corners_logits_are_whole_numbers(network_plan: Plans) -> None:
    class Flat(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (torch.full((len(x), 4, *x.shape[2:]), 2.4),)

    # one window alone is weighed too: at the corner with 2 ** -24, the least number there is, of which 2.4 are 2
    logits = predict_logits(Flat().eval(), np.ones((8, 16, 16), np.float32), network_plan(3, (8, 16, 16)), in_half=True)
    assert logits[0, 0, 0, 0] == 2.0
    np.testing.assert_allclose(logits[:, 4, 6:10, 6:10], 2.4, rtol=2**-10)


def test_logits_that_nnunet_could_not_sum_are_refused(network_plan: Plans) -> None:
    class Loud(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (torch.full((len(x), 4, *x.shape[2:]), 7000.0),)  # times 10 is beyond 65504

    image = np.ones((1, 16, 16), np.float32)
    with pytest.raises(ModelError, match="too large for nnU-Net's half precision"):
        predict_logits(Loud().eval(), image, network_plan(2, (16, 16)), in_half=True)
    np.testing.assert_array_equal(predict_logits(Loud().eval(), image, network_plan(2, (16, 16))), 7000.0)


def test_the_image_is_padded_with_its_mean(network_plan: Plans) -> None:
    class Total(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (x.sum((2, 3), keepdim=True).expand(-1, 4, *x.shape[2:]),)

    logits = predict_logits(Total().eval(), np.ones((1, 3, 5), np.float32), network_plan(2, (16, 16)))
    np.testing.assert_array_equal(logits, np.full((4, 1, 3, 5), 15.0, np.float32))


@pytest.mark.parametrize(("dimensions", "patch"), [(2, (16, 16)), (3, (4, 16, 16))])
def test_mirroring_a_symmetric_pass_equals_mirroring_by_hand(
    dimensions: int, patch: tuple[int, ...], network_plan: Plans
) -> None:
    torch.manual_seed(0)
    plan = network_plan(dimensions, patch)
    network = build_network(plan).eval()
    image = np.random.default_rng(1).normal(size=(5, 16, 16)).astype(np.float32)
    found = predict_logits(network, image, plan, mirror_axes=(-1,))
    plain = predict_logits(network, image, plan)
    mirrored = predict_logits(network, image[..., ::-1], plan)[..., ::-1]
    np.testing.assert_allclose(found, (plain + mirrored) / 2, atol=1e-5)


def test_a_slice_does_not_know_of_the_others(network_plan: Plans) -> None:
    torch.manual_seed(0)
    plan = network_plan(2, (16, 16))
    network = build_network(plan).eval()
    image = np.random.default_rng(2).normal(size=(6, 30, 41)).astype(np.float32)
    together = predict_logits(network, image, plan)
    for z in range(6):
        np.testing.assert_array_equal(together[:, z : z + 1], predict_logits(network, image[z : z + 1], plan))


@pytest.mark.parametrize(
    ("dimensions", "patch", "batch_size", "expected"),
    [
        (2, (16, 16), None, [(4, 1, 16, 16), (8, 1, 16, 16)]),
        (2, (16, 16), 3, [(3, 1, 16, 16), (1, 1, 16, 16)] * 3),
        (3, (2, 16, 16), None, [(1, 1, 2, 16, 16)] * 8),
        (3, (2, 16, 16), 5, [(5, 1, 2, 16, 16), (3, 1, 2, 16, 16)]),
    ],
)
def test_a_batch_on_the_cpu_holds_windows_of_whole_slices(
    dimensions: int,
    patch: tuple[int, ...],
    batch_size: int | None,
    expected: list[tuple[int, ...]],
    network_plan: Plans,
) -> None:
    watcher = Watcher().eval()
    image = np.zeros((3, 24, 20), np.float32)  # windows from (0, 8) and (0, 4), and in 3D from slices (0, 1)
    predict_logits(watcher, image, network_plan(dimensions, patch), batch_size=batch_size)
    assert watcher.seen == expected


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("dimensions", "patch"), [(2, (16, 16)), (3, (4, 16, 16))])
def test_bfloat16_and_layout_stay_close(
    dimensions: int, patch: tuple[int, ...], channels_last: bool, network_plan: Plans
) -> None:
    torch.manual_seed(3)
    plan = network_plan(dimensions, patch)
    network = build_network(plan).eval()
    image = np.random.default_rng(3).normal(size=(4, 20, 20)).astype(np.float32)
    exact = predict_logits(network, image, plan)
    rough = predict_logits(network, image, plan, precision="bfloat16", channels_last=channels_last)
    assert rough.dtype == np.float32
    difference = np.abs(rough - exact).max()
    assert 0 < difference < 0.1 * np.abs(exact).max()
    if channels_last:
        same = predict_logits(network, image, plan, channels_last=True)
        np.testing.assert_allclose(same, exact, atol=1e-4)


def wrong_calls() -> list[tuple[dict[str, object], str]]:
    return [
        ({"image": np.zeros((4, 4), np.float32)}, "image must be"),
        ({"image": np.zeros((0, 4, 4), np.float32)}, "not empty"),
        ({"mirror_axes": (-3,)}, "in 3D also -3"),
        ({"mirror_axes": (-1, -1)}, "mirror_axes"),
        ({"batch_size": 0}, "batch_size"),
    ]


@pytest.mark.parametrize(("change", "message"), wrong_calls())
def test_wrong_arguments_are_refused(change: dict[str, object], message: str, network_plan: Plans) -> None:
    arguments = {"image": np.zeros((1, 16, 16), np.float32)} | change
    image = arguments.pop("image")
    with pytest.raises(ValueError, match=message):
        predict_logits(Constant().eval(), image, network_plan(2, (16, 16)), **arguments)  # type: ignore[arg-type]


def test_a_network_in_training_mode_is_refused(network_plan: Plans, stack: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match="eval"):
        predict_logits(Constant(), stack, network_plan(2, (16, 16)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA GPU")
@pytest.mark.parametrize(("dimensions", "patch"), [(2, (16, 16)), (3, (4, 16, 16))])
def test_the_gpu_says_what_the_cpu_says(dimensions: int, patch: tuple[int, ...], network_plan: Plans) -> None:
    torch.manual_seed(4)
    plan = network_plan(dimensions, patch)
    network = build_network(plan).eval()
    image = np.random.default_rng(4).normal(size=(7, 37, 41)).astype(np.float32)
    expected = predict_logits(network, image, plan, mirror_axes=(-1,))
    network.cuda()
    found = predict_logits(network, image, plan, device="cuda", mirror_axes=(-1,))
    np.testing.assert_allclose(found, expected, atol=2e-2)  # TF32 convolutions
    few = predict_logits(network, image, plan, device="cuda", mirror_axes=(-1,), batch_size=3)
    np.testing.assert_allclose(few, found, atol=2e-2)


class Neighbours(torch.nn.Module):
    """Says the difference of the slices above and below, and the middle one."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (torch.cat([x[:, 2:] - x[:, :1], x[:, 1:2], x[:, :1], x[:, 2:]], dim=1),)


@pytest.mark.parametrize("shape", [(5, 37, 50), (1, 9, 40)])
def test_a_network_of_three_slices_sees_those_on_either_side(shape: tuple[int, int, int], network_plan: Plans) -> None:
    plan = network_plan(2, (16, 16)).model_copy(update={"in_channels": 3})
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    logits = predict_logits(Neighbours().eval(), image, plan)
    below = np.concatenate([np.zeros_like(image[:1]), image[:-1]])  # the mean, where there is no slice
    above = np.concatenate([image[1:], np.zeros_like(image[:1])])
    np.testing.assert_allclose(logits, np.stack([above - below, image, below, above]), atol=1e-5)


def test_weights_rounded_once_compute_what_rounding_in_each_pass_computes(network_plan: Plans) -> None:
    torch.manual_seed(5)
    plan = network_plan(2, (16, 16))
    network = build_network(plan).eval()
    image = np.random.default_rng(5).normal(size=(4, 20, 20)).astype(np.float32)
    rounding = predict_logits(network, image, plan, precision="bfloat16")
    assert with_weights_in(network, "float32") is network
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    rounded = with_weights_in(network, "bfloat16")
    assert torch.bfloat16 in {p.dtype for p in rounded.parameters()}
    np.testing.assert_array_equal(predict_logits(rounded, image, plan, precision="bfloat16"), rounding)
