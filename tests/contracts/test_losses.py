"""What every registered loss promises."""

import inspect
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from autolv.losses import LOSSES

_SIZES = [(6, 5), (3, 6, 5)]


@pytest.fixture(params=list(LOSSES))
def loss(request):
    return LOSSES.get(request.param)()


def test_the_registry_holds_dice_ce():
    assert "dice_ce" in LOSSES


@pytest.mark.parametrize("name", list(LOSSES))
def test_factories_need_no_arguments(name):
    parameters = inspect.signature(LOSSES.get(name)).parameters.values()
    assert all(p.default is not p.empty for p in parameters)


def _target(size, n=2, classes=4):
    return torch.randint(0, classes, (n, *size), generator=torch.Generator().manual_seed(0))


def _logits(size, n=2, classes=4):
    return torch.randn(n, classes, *size, generator=torch.Generator().manual_seed(1))


def _one_hot(target, classes=4):
    return torch.nn.functional.one_hot(target, classes).movedim(-1, 1).float()


@pytest.mark.parametrize("size", _SIZES)
def test_right_is_better_than_unsure_is_better_than_wrong(loss, size):
    target = _target(size)
    right, unsure, wrong = (
        float(loss(logits, target))
        for logits in (20 * _one_hot(target), torch.zeros(2, 4, *size), 20 * _one_hot((target + 1) % 4))
    )
    assert right < unsure < wrong
    assert right == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("size", _SIZES)
def test_more_voxels_right_is_better(loss, size):
    target = _target(size)
    guess = target.clone()
    values = []
    for i in range(3):
        guess[:, i] = (target[:, i] + 1) % 4
        values.append(float(loss(5 * _one_hot(guess), target)))
    assert values[0] < values[1] < values[2]


@pytest.mark.parametrize("size", _SIZES)
def test_the_value_is_one_finite_float32(loss, size):
    value = loss(_logits(size), _target(size))
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert math.isfinite(value.item())


@pytest.mark.parametrize("sign", [1, -1])
def test_the_gradient_is_finite_at_extreme_logits(loss, sign):
    target = _target((6, 5))
    logits = (sign * 50 * (2 * _one_hot(target) - 1)).requires_grad_()
    loss(logits, target).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("present", [0, 1])
def test_classes_absent_from_the_whole_batch_are_harmless(loss, present):
    target = torch.full((2, 6, 5), present)
    logits = _logits((6, 5)).requires_grad_()
    value = loss(logits, target)
    value.backward()
    assert math.isfinite(value.item())
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    # a step against the gradient lowers the loss
    with torch.no_grad():
        assert float(loss(logits - 0.1 * logits.grad, target)) < value.item()


def test_the_order_of_the_batch_does_not_matter(loss):
    logits, target, order = _logits((6, 5), 3), _target((6, 5), 3), [2, 0, 1]
    torch.testing.assert_close(loss(logits[order], target[order]), loss(logits, target))


def test_mirrored_images_have_the_same_loss(loss):
    logits, target = _logits((3, 6, 5)), _target((3, 6, 5))
    torch.testing.assert_close(loss(logits.flip(3), target.flip(2)), loss(logits, target))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_summed_in_float32(loss, dtype):
    # 0.25 is exact in either type: the loss of a million such voxels is that of single precision
    size = (512, 512)
    target = _target(size, n=4)
    logits = 0.25 * _one_hot(target)
    half = loss(logits.to(dtype), target)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, loss(logits, target), atol=1e-6, rtol=1e-6)


def test_autocast_does_not_change_the_value(loss):
    logits, target = _logits((6, 5)), _target((6, 5))
    plain = loss(logits, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = loss(logits, target)
    assert torch.equal(plain, cast)


def test_the_layout_does_not_matter(loss):
    logits, target = _logits((6, 5)), _target((6, 5))
    torch.testing.assert_close(loss(logits.to(memory_format=torch.channels_last), target), loss(logits, target))
    # a target seen through a stride, as that of a coarser head
    wide = target.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    torch.testing.assert_close(loss(logits, wide[:, 1::2, 1::2]), loss(logits, target))


def test_the_arguments_are_not_changed(loss):
    logits, target = _logits((6, 5)), _target((6, 5))
    before = logits.clone(), target.clone()
    loss(logits, target)
    assert torch.equal(logits, before[0])
    assert torch.equal(target, before[1])


def test_a_target_of_another_size_is_refused(loss):
    with pytest.raises(ValueError, match=r"target must be \(n, \*size\)"):
        loss(_logits((6, 5)), _target((5, 6)))


@pytest.mark.parametrize("name", list(LOSSES))
def test_two_that_share_a_batch_have_its_loss_and_between_them_its_gradient(name):
    whole, target = _logits((6, 5), n=3).requires_grad_(), _target((6, 5), n=3)
    expected = LOSSES.get(name)()(whole, target)
    expected.backward()
    shares = [whole.detach()[:1].requires_grad_(), whole.detach()[1:].requires_grad_()]
    meeting, sums = threading.Barrier(2, timeout=30), [None, None]

    def loss_of(rank):
        def total(own):
            sums[rank] = own
            meeting.wait()
            other = sums[1 - rank].detach()
            meeting.wait()  # before the next sums take its place
            return own + other

        value = LOSSES.get(name)(total=total)(shares[rank], target[:1] if rank == 0 else target[1:])
        value.backward()
        return value

    with ThreadPoolExecutor(2) as pool:
        values = list(pool.map(loss_of, (0, 1)))
    torch.testing.assert_close(torch.stack(values), expected.repeat(2))
    torch.testing.assert_close(torch.cat([share.grad for share in shares]), whole.grad)
