import math

import pytest
import torch

from autolv.losses.dice_ce import DiceCrossEntropy, build_dice_ce


def test_by_hand():
    # two classes, p = 1/2 everywhere: cross-entropy ln 2; overlap 2 x 1/2, sizes 4 x 1/2 and 2: Dice 2 x 1 / 4
    value = DiceCrossEntropy(smooth=0.0)(torch.zeros(1, 2, 2, 2), torch.tensor([[[1, 1], [0, 0]]]))
    assert value.item() == pytest.approx(math.log(2) + 1 - 0.5, rel=1e-6)


def test_the_background_is_no_dice_class():
    # three classes; p(1) = 1/2 where the target is 1, else 0; p(2) = 1 where it is 2: Dice 2 x 0.5 / 1.5, and 1
    logits = torch.tensor([[[[0.0, -40.0, 40.0]], [[0.0, -40.0, -40.0]], [[-40.0, 40.0, -40.0]]]])
    value = DiceCrossEntropy(smooth=0.0)(logits, torch.tensor([[[1, 2, 0]]]))
    assert value.item() == pytest.approx(math.log(2) / 3 + 1 - (2 / 3 + 1) / 2, rel=1e-5)


@pytest.mark.parametrize(("batch_dice", "dice"), [(True, 1 / 3), (False, 0.25)])
def test_batch_dice_sums_before_it_divides(batch_dice, dice):
    # p = 1/2 in two images of four voxels. The first has no structure: overlap 0, sizes 2 + 0; the second 1, 2 + 2.
    # batch: 2 x 1 / (4 + 2); samples: mean of 0 and 2 x 1 / 4
    target = torch.tensor([[[0, 0], [0, 0]], [[1, 1], [0, 0]]])
    value = DiceCrossEntropy(batch_dice=batch_dice, smooth=0.0)(torch.zeros(2, 2, 2, 2), target)
    assert value.item() == pytest.approx(math.log(2) + 1 - dice, rel=1e-6)


def test_smoothing_counts_a_class_that_is_neither_there_nor_predicted_as_right():
    logits = torch.stack((torch.full((1, 4, 4), 60.0), torch.full((1, 4, 4), -60.0)), dim=1)
    assert DiceCrossEntropy()(logits, torch.zeros(1, 4, 4, dtype=torch.int64)).item() == pytest.approx(0.0, abs=1e-6)


def test_the_registered_one_sums_over_the_batch():
    assert build_dice_ce() == DiceCrossEntropy(batch_dice=True, smooth=1e-5)


@pytest.mark.parametrize("batch_dice", [True, False])
def test_gradient_agrees_with_finite_differences(batch_dice):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 2, 2, generator=generator).requires_grad_()
    target = torch.randint(0, 3, (2, 2, 2), generator=generator)
    loss = DiceCrossEntropy(batch_dice=batch_dice)
    loss(logits, target).backward()
    assert logits.grad is not None
    step = torch.zeros_like(logits)
    for index in [(0, 0, 0, 0), (1, 2, 1, 0), (0, 1, 1, 1)]:
        step.zero_()
        step[index] = 1e-2
        with torch.no_grad():
            difference = (loss(logits + step, target) - loss(logits - step, target)) / 2e-2
        assert difference.item() == pytest.approx(logits.grad[index].item(), abs=2e-4)
