import math

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from autolv.losses import Head
from autolv.losses.dice_ce import DiceCrossEntropy, build_dice_ce


def _loss(logits, target, known=None, **fields):
    return DiceCrossEntropy(**fields)((Head(logits, target),), known)


def _definition(logits, target, known, batch_dice, smooth):
    """The loss as it is written in words, voxel by voxel, in double precision."""
    p = logits.double().softmax(1)
    n, classes = p.shape[:2]
    likelihood = p.gather(1, target[:, None])[:, 0]
    for i in range(n):
        hidden = sum(p[i, c] for c in range(1, classes) if not known[i, c]) + torch.zeros_like(p[i, 0])
        likelihood[i] += torch.where(target[i] == 0, hidden, 0.0)
    dice = []
    for c in range(1, classes):
        samples = [i for i in range(n) if known[i, c]]
        for group in [samples] if batch_dice else [[i] for i in samples]:
            if group:
                truth, found = target[group] == c, p[group, c]
                dice.append((2 * found[truth].sum() + smooth) / (found.sum() + truth.sum() + smooth))
    return -likelihood.log().mean() + 1 - torch.stack(dice).mean()


def _example(size=(5, 4)):
    """Three samples of four classes; class 3 is not annotated in the first, classes 1 and 2 are not in the last."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(3, 4, *size, generator=generator)
    target = torch.randint(0, 4, (3, *size), generator=generator)
    known = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 1]], dtype=torch.bool)
    hidden = ~known.gather(1, target.flatten(1)).view_as(target)
    return logits, target.masked_fill(hidden, 0), known


def test_by_hand():
    # two classes, p = 1/2 everywhere: cross-entropy ln 2; overlap 2 x 1/2, sizes 4 x 1/2 and 2: Dice 2 x 1 / 4
    value = _loss(torch.zeros(1, 2, 2, 2), torch.tensor([[[1, 1], [0, 0]]]), smooth=0.0)
    assert value.item() == pytest.approx(math.log(2) + 1 - 0.5, rel=1e-6)


def test_the_background_is_no_dice_class():
    # three classes; p(1) = 1/2 where the target is 1, else 0; p(2) = 1 where it is 2: Dice 2 x 0.5 / 1.5, and 1
    logits = torch.tensor([[[[0.0, -40.0, 40.0]], [[0.0, -40.0, -40.0]], [[-40.0, 40.0, -40.0]]]])
    value = _loss(logits, torch.tensor([[[1, 2, 0]]]), smooth=0.0)
    assert value.item() == pytest.approx(math.log(2) / 3 + 1 - (2 / 3 + 1) / 2, rel=1e-5)


@pytest.mark.parametrize(("batch_dice", "dice"), [(True, 1 / 3), (False, 0.25)])
def test_batch_dice_sums_before_it_divides(batch_dice, dice):
    # p = 1/2 in two images of four voxels. The first has no structure: overlap 0, sizes 2 + 0; the second 1, 2 + 2.
    # batch: 2 x 1 / (4 + 2); samples: mean of 0 and 2 x 1 / 4
    target = torch.tensor([[[0, 0], [0, 0]], [[1, 1], [0, 0]]])
    value = _loss(torch.zeros(2, 2, 2, 2), target, batch_dice=batch_dice, smooth=0.0)
    assert value.item() == pytest.approx(math.log(2) + 1 - dice, rel=1e-6)


def test_smoothing_counts_a_class_that_is_neither_there_nor_predicted_as_right():
    logits = torch.stack((torch.full((1, 4, 4), 60.0), torch.full((1, 4, 4), -60.0)), dim=1)
    assert _loss(logits, torch.zeros(1, 4, 4, dtype=torch.int64)).item() == pytest.approx(0.0, abs=1e-6)


def test_the_registered_one_sums_over_the_batch():
    assert build_dice_ce() == DiceCrossEntropy(batch_dice=True, smooth=1e-5)


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("batch_dice", [True, False])
@pytest.mark.parametrize("size", [(5, 4), (2, 3, 4)])
def test_it_is_what_its_definition_says(batch_dice, partial, size):
    logits, target, known = _example(size)
    logits.requires_grad_()
    if not partial:
        known = torch.ones_like(known)
    value = _loss(logits, target, known if partial else None, batch_dice=batch_dice, smooth=0.1)
    expected = _definition(logits, target, known, batch_dice, 0.1)
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    gradient, wanted = (torch.autograd.grad(loss, logits)[0] for loss in (value, expected))
    torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("batch_dice", [True, False])
def test_gradient_agrees_with_finite_differences(batch_dice, partial):
    logits, target, known = _example((2, 2))
    chosen = known if partial else None
    assert torch.autograd.gradcheck(
        lambda x: _loss(x, target, chosen, batch_dice=batch_dice), logits.double().requires_grad_()
    )


@pytest.mark.parametrize("batch_dice", [True, False])
def test_a_batch_of_which_two_have_the_same_half_has_the_loss_of_the_half(batch_dice):
    logits, target, known = _example()
    alone = _loss(logits, target, known, batch_dice=batch_dice, smooth=0.0)
    shared = _loss(logits, target, known, batch_dice=batch_dice, smooth=0.0, total=lambda sums: 2 * sums)
    torch.testing.assert_close(shared, alone)


def test_partial_labels_by_hand():
    # two samples of two voxels, p = 1/4 for each of four classes; class 3 is not annotated in the first.
    # cross-entropy: the first has background (1/4 + 1/4) and class 1, the second classes 3 and 2
    # Dice: class 1: 2 x 1/4 / (4/4 + 1), class 2 alike; class 3, of the second alone: 2 x 1/4 / (2/4 + 1)
    target = torch.tensor([[[0, 1]], [[3, 2]]])
    known = torch.tensor([[True, True, True, False], [True, True, True, True]])
    value = _loss(torch.zeros(2, 4, 1, 2), target, known, smooth=0.0)
    cross_entropy = (math.log(2) + 3 * math.log(4)) / 4
    assert value.item() == pytest.approx(cross_entropy + 1 - (1 / 4 + 1 / 4 + 1 / 3) / 3, rel=1e-6)


@pytest.mark.parametrize("partial", [False, True])
def test_no_value_is_read_back_from_the_device(partial):
    with FakeTensorMode():  # tensors without values: to read one raises
        heads = [Head(torch.zeros(3, 4, n, n, requires_grad=True), torch.zeros(3, n, n).long(), 0.5) for n in (8, 4)]
        DiceCrossEntropy()(heads, torch.ones(3, 4).bool() if partial else None).backward()
        assert all(head.logits.grad is not None for head in heads)
        with pytest.raises(DataDependentOutputException):
            heads[0].logits.sum().item()
