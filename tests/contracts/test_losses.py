"""What every registered loss promises."""

import inspect
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from autolv.losses import LOSSES, Head

_SIZES = [(6, 5), (3, 6, 5)]


@pytest.fixture(params=list(LOSSES))
def loss(request):
    """The loss of one head."""
    made = LOSSES.get(request.param)()
    return lambda logits, target, known=None: made((Head(logits, target),), known)


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
@pytest.mark.parametrize("partial", [False, True])
def test_two_that_share_a_batch_have_its_loss_and_between_them_its_gradient(name, partial):
    whole, target = _logits((6, 5), n=3).requires_grad_(), _target((6, 5), n=3)
    target[0][target[0] == 3] = 0
    known = torch.tensor([[True, True, True, not partial], [True] * 4, [True] * 4])
    expected = LOSSES.get(name)()([Head(whole, target)], known)
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

        own = target[:1] if rank == 0 else target[1:]
        # in the second share all is annotated, which need not be said
        value = LOSSES.get(name)(total=total)([Head(shares[rank], own)], known[:1] if rank == 0 else None)
        value.backward()
        return value

    with ThreadPoolExecutor(2) as pool:
        values = list(pool.map(loss_of, (0, 1)))
    torch.testing.assert_close(torch.stack(values), expected.repeat(2))
    torch.testing.assert_close(torch.cat([share.grad for share in shares]), whole.grad)


@pytest.mark.parametrize("name", list(LOSSES))
def test_heads_add_up_by_their_weights(name):
    loss = LOSSES.get(name)()
    heads = [Head(_logits(size), _target(size), weight) for size, weight in (((8, 6), 0.75), ((4, 3), 0.25))]
    alone = [float(loss((Head(head.logits, head.target),), None)) for head in heads]
    assert float(loss(heads, None)) == pytest.approx(0.75 * alone[0] + 0.25 * alone[1], rel=1e-6)


def test_that_all_is_annotated_need_not_be_said(loss):
    logits, target = _logits((6, 5)), _target((6, 5))
    torch.testing.assert_close(loss(logits, target, torch.ones(2, 4, dtype=torch.bool)), loss(logits, target))


def _partial(unknown=(2, 3)):
    """Logits and target of two samples in the first of which the structures ``unknown`` are not annotated."""
    target = _target((6, 5))
    target[0][torch.isin(target[0], torch.tensor(unknown))] = 0
    known = torch.ones(2, 4, dtype=torch.bool)
    known[0, list(unknown)] = False
    return _logits((6, 5)), target, known


def test_what_is_not_annotated_may_be_anything_that_the_background_may(loss):
    logits, target, known = _partial()
    swapped = logits.clone()
    swapped[0] = logits[0, [3, 1, 0, 2]]  # the background and the two that are not annotated change places
    torch.testing.assert_close(loss(swapped, target, known), loss(logits, target, known))
    assert abs(float(loss(swapped, target)) - float(loss(logits, target))) > 1e-3


def test_the_gradient_is_orthogonal_to_dividing_the_background_anew(loss):
    logits, target, known = _partial()
    logits = logits.double().requires_grad_()
    loss(logits, target, known).backward()
    probabilities = logits.detach().softmax(1)
    # a step along (1 / p_0, -1 / p_2) leaves p_0 + p_2 as it is, and one along (1 / p_2, -1 / p_3) p_2 + p_3
    per_probability = (logits.grad / probabilities)[0]
    torch.testing.assert_close(per_probability[2], per_probability[0])
    torch.testing.assert_close(per_probability[3], per_probability[0])
    assert (per_probability[1] - per_probability[0]).abs().max() > 1e-3
    assert per_probability[0].abs().max() > 1e-3


def test_a_structure_that_is_predicted_where_it_is_not_annotated_costs_nothing(loss):
    _, target, known = _partial(unknown=(3,))
    guess = target.clone()
    guess[0][target[0] == 0] = 3
    assert float(loss(20 * _one_hot(guess), target, known)) == pytest.approx(0.0, abs=1e-4)
    assert float(loss(20 * _one_hot(guess), target)) > 1.0


def test_a_structure_that_is_annotated_nowhere_is_left_out(loss):
    target = _target((6, 5), classes=3)
    known = torch.tensor([[True, True, True, False]] * 2)
    logits = _logits((6, 5))
    logits[:, 3] = -60.0
    # as if the class did not exist
    torch.testing.assert_close(loss(logits, target, known), loss(logits[:, :3], target))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_extreme_logits_of_what_is_not_annotated_are_harmless(loss, dtype):
    _, target, known = _partial()
    logits = torch.zeros(2, 4, 6, 5, dtype=dtype)
    logits[:, 3], logits[:, 2] = 200.0, -200.0
    logits.requires_grad_()
    value = loss(logits, target, known)
    value.backward()
    assert math.isfinite(value.item())
    assert torch.isfinite(logits.grad).all()
