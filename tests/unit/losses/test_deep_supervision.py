import pytest
import torch

from autolv.losses import Head
from autolv.losses._deep_supervision import DeepSupervisionLoss, subsample_target
from autolv.losses.dice_ce import DiceCrossEntropy


def _mean(heads, known):
    return sum(head.weight * head.logits.mean() for head in heads)


def test_of_each_block_of_k_voxel_k_half_is_taken():
    target = torch.arange(8).view(1, 8)
    assert subsample_target(target, (8,)).tolist() == [[0, 1, 2, 3, 4, 5, 6, 7]]
    assert subsample_target(target, (4,)).tolist() == [[1, 3, 5, 7]]
    assert subsample_target(target, (2,)).tolist() == [[2, 6]]
    assert subsample_target(target, (1,)).tolist() == [[4]]


@pytest.mark.parametrize("size", [(4, 24, 18), (4, 12, 9), (2, 6, 6), (1, 3, 2), (4, 8, 1)])
def test_subsampling_equals_torch_s_nearest_exact(size):
    target = torch.randint(0, 4, (2, 4, 24, 18), generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(target[:, None].float(), size=size, mode="nearest-exact")[:, 0].long()
    assert torch.equal(subsample_target(target, size), expected)


def test_subsampling_copies_nothing():
    target = torch.zeros(1, 8, 8, dtype=torch.int64)
    assert subsample_target(target, (4, 2)).untyped_storage().data_ptr() == target.untyped_storage().data_ptr()


@pytest.mark.parametrize("size", [(3, 8), (16, 8), (0, 8), (8,)])
def test_a_head_that_does_not_divide_the_target_is_refused(size):
    with pytest.raises(ValueError, match="does not divide"):
        subsample_target(torch.zeros(1, 8, 8, dtype=torch.int64), size)


def test_by_hand():
    # weights 1, 1/2, 1/4 are 4/7, 2/7, 1/7; heads of value 7, 14, 21 give 4 + 4 + 3
    loss = DeepSupervisionLoss(_mean, (1, 0.5, 0.25))
    outputs = [torch.full((1, 2, n, n), v) for n, v in ((8, 7.0), (4, 14.0), (2, 21.0))]
    assert loss(outputs, torch.zeros(1, 8, 8, dtype=torch.int64)).item() == pytest.approx(11.0, rel=1e-6)


def test_alike_heads_give_the_loss_of_one():
    # a constant image has the same loss at every resolution, so its weighted mean is that loss
    base = DiceCrossEntropy(smooth=0.0)
    values = torch.tensor([0.3, -1.0, 2.0])
    outputs = [values.view(1, 3, 1, 1).expand(2, 3, n, n) for n in (8, 4, 2)]
    target = torch.full((2, 8, 8), 2)
    expected = base([Head(outputs[0], target)])
    torch.testing.assert_close(DeepSupervisionLoss(base, (1, 0.5, 0.25))(outputs, target), expected)


def test_a_head_of_weight_0_is_left_out():
    def fails_on_the_coarse_head(heads, known):
        assert [head.logits.shape[2] for head in heads] == [8]
        return _mean(heads, known)

    loss = DeepSupervisionLoss(fails_on_the_coarse_head, (2.0, 0.0))
    outputs = [torch.full((1, 2, 8, 8), 3.0), torch.full((1, 2, 4, 4), torch.nan)]
    assert loss(outputs, torch.zeros(1, 8, 8, dtype=torch.int64)).item() == 3.0


@pytest.mark.parametrize("weights", [(), (1.0, -0.5), (0.0, 0.0)])
def test_weights_without_a_meaning_are_refused(weights):
    with pytest.raises(ValueError, match="non-negative with a positive sum"):
        DeepSupervisionLoss(_mean, weights)


def test_the_number_of_heads_must_fit():
    loss = DeepSupervisionLoss(_mean, (1.0, 0.5))
    with pytest.raises(ValueError, match="expected 2 outputs, one per weight, got 1"):
        loss([torch.zeros(1, 2, 8, 8)], torch.zeros(1, 8, 8, dtype=torch.int64))


def test_every_head_gets_its_share_of_the_gradient():
    outputs = [torch.zeros(1, 2, n, n, requires_grad=True) for n in (8, 4)]
    DeepSupervisionLoss(_mean, (3, 1))(outputs, torch.zeros(1, 8, 8, dtype=torch.int64)).backward()
    # the mean over 2 x 8 x 8 and 2 x 4 x 4 numbers, weighed 3/4 and 1/4
    for output, share in zip(outputs, (0.75 / 128, 0.25 / 32), strict=True):
        assert output.grad is not None
        torch.testing.assert_close(output.grad, torch.full_like(output, share))


def test_every_head_gets_the_target_at_its_resolution_and_what_is_annotated():
    seen = []

    def note(heads, known):
        seen.append(known)
        return sum((head.target.float().mean() * head.weight for head in heads), start=torch.zeros(()))

    target = torch.zeros(2, 8, 8, dtype=torch.int64)
    target[:, 1::2, 1::2] = 1  # all that the coarser head sees, a quarter of the finer
    known = torch.tensor([[True, False], [True, True]])
    outputs = [torch.zeros(2, 2, n, n) for n in (8, 4)]
    assert DeepSupervisionLoss(note, (3, 1))(outputs, target, known).item() == pytest.approx(0.75 / 4 + 0.25)
    assert seen[0] is known
