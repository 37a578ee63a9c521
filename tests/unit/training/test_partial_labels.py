"""A network that sees each structure annotated in a part of the cases only learns all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from autolv.losses import LOSSES
from autolv.losses._deep_supervision import DeepSupervisionLoss
from autolv.networks import build_network
from autolv.schema.plan import Network, Training
from autolv.training.loop import Pace, monitor_dice, step
from autolv.training.sampler import Sampler, TrainingCase, monitor_patches
from autolv.training.state import TrainState, make_optimiser

STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")
NETWORK = Network(
    architecture="unet", patch=(32, 32), in_channels=1, classes=4, features=(8, 16), kernels=((3, 3),) * 2,
    strides=((1, 1), (2, 2)), blocks=(1, 1), decoder_blocks=(1,), heads=1,
)  # fmt: skip
TRAINING = Training(
    batch_size=4, loss="dice_ce", deep_supervision_weights=(1.0,), optimiser="adamw", learning_rate=0.01,
    weight_decay=0.0, momentum=0.9, warmup_fraction=0.0, schedule="cosine", gradient_clip=12.0, augmentation="none",
    mirror=False, heart_fraction=1.0, epochs=1, iterations_per_epoch=1, expected_memory_gb=0.1, expected_minutes=0.1,
)  # fmt: skip
# each structure is drawn in half of the cases, and no two of them in all cases of the other
ANNOTATED = ({1, 2}, {1, 3}, {2, 3}, {2}, {1, 3}, {3, 1}, {2, 3}, {1, 2})


def _whole(number: int, structures: Sequence[int] = (1, 2, 3)) -> TrainingCase:
    """Two slices with a square of each structure, told by their brightness, at places of their own."""
    rng = np.random.default_rng(number)
    labels = np.zeros((2, 32, 32), dtype=np.uint8)
    for z in range(2):
        for structure, corner in zip(structures, rng.permutation(4), strict=False):
            y, x = 16 * (corner // 2) + rng.integers(1, 6), 16 * (corner % 2) + rng.integers(1, 6)
            labels[z, y : y + 9, x : x + 9] = structure
    image = np.array([0.0, 1.0, -1.0, 2.0], dtype=np.float32)[labels] + 0.1 * rng.standard_normal(labels.shape)
    return TrainingCase(
        case=f"case{number}", patient=f"p{number}", image=torch.from_numpy(image.astype(np.float32)),
        labels=torch.from_numpy(labels), heart_box=((0, 2), (0, 32), (0, 32)),
    )  # fmt: skip


def _partly(case: TrainingCase, annotated: set[int]) -> TrainingCase:
    hidden = torch.tensor([number for number in (1, 2, 3) if number not in annotated])
    labels = case.labels.masked_fill(torch.isin(case.labels, hidden), 0)
    return replace(case, labels=labels, known=(True, *(number in annotated for number in (1, 2, 3))))


def _dice_after_training(cases: Sequence[TrainingCase], unseen: Sequence[TrainingCase]) -> dict[str, float]:
    torch.manual_seed(0)
    network = build_network(NETWORK).train()
    state = TrainState(network=network, optimiser=make_optimiser(network, TRAINING))
    loss = DeepSupervisionLoss(LOSSES.get("dice_ce")(), (1.0,))
    pace = Pace(
        device=torch.device("cpu"), precision="float32", channels_last=False, forward=network, total=60, per_epoch=60
    )
    sampler = Sampler(cases, NETWORK, TRAINING, seed=0)
    for iteration in range(pace.total):
        step(state, sampler.batch(iteration), loss, pace, TRAINING)
    return monitor_dice(network, monitor_patches(unseen, NETWORK), STRUCTURES, pace)


def test_structures_that_are_annotated_in_some_cases_each_are_all_learnt() -> None:
    cases = [_partly(_whole(number), annotated) for number, annotated in enumerate(ANNOTATED)]
    unseen = [_whole(100 + number) for number in range(4)]
    dice = _dice_after_training(cases, unseen)
    assert min(dice.values()) > 0.95
    # taken at their word, the same label maps say that each structure is background as often as not
    naive = _dice_after_training([replace(case, known=None) for case in cases], unseen)
    assert min(naive.values()) < 0.9


@pytest.mark.parametrize("known", [None, (True, True, True, False)], ids=["absent", "annotated in no case"])
def test_a_structure_that_no_case_holds_is_found_nowhere_and_disturbs_no_other(known: tuple[bool, ...] | None) -> None:
    cases = [replace(_whole(number, (1, 2)), known=known) for number in range(6)]
    dice = _dice_after_training(cases, [_whole(100 + number, (1, 2)) for number in range(4)])
    assert min(dice["dice_lv_cavity"], dice["dice_lv_myocardium"]) > 0.95
    assert math.isnan(dice["dice_rv_cavity"])  # neither there nor found


def test_two_cases_of_which_one_lacks_a_structure_train() -> None:
    cases = [_whole(0), _partly(_whole(1), {1, 2})]
    dice = _dice_after_training(cases, [_whole(100 + number) for number in range(4)])
    assert min(dice.values()) > 0.9
