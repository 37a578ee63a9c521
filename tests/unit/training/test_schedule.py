"""The learning rate warms up, decays, and ends at zero."""

import math

import pytest

from autolv.schema.plan import Training
from autolv.training.schedule import learning_rate


def _training(schedule: str, warmup: float) -> Training:
    return Training(
        batch_size=2, loss="dice_ce", deep_supervision_weights=(1.0,), optimiser="adamw", learning_rate=0.002,
        weight_decay=0.0, momentum=0.9, warmup_fraction=warmup, schedule=schedule, gradient_clip=12.0,
        augmentation="none", mirror=False, heart_fraction=0.5, epochs=1, iterations_per_epoch=1, expected_memory_gb=1.0,
        expected_minutes=1.0,
    )  # fmt: skip


def test_cosine_by_hand() -> None:
    training = _training("cosine", 0.1)  # 10 of 100 warm up
    assert learning_rate(training, 0, 100) == pytest.approx(0.0002)
    assert learning_rate(training, 9, 100) == pytest.approx(0.002)
    assert learning_rate(training, 10, 100) == pytest.approx(0.002)
    assert learning_rate(training, 55, 100) == pytest.approx(0.001)  # half way through the decay
    assert learning_rate(training, 100, 100) == pytest.approx(0.0, abs=1e-12)


def test_poly_by_hand() -> None:
    training = _training("poly", 0.0)
    assert learning_rate(training, 0, 1000) == pytest.approx(0.002)
    assert learning_rate(training, 500, 1000) == pytest.approx(0.002 * 0.5**0.9)


def test_never_negative_and_defined_for_one_iteration() -> None:
    for schedule in ("cosine", "poly"):
        rate = learning_rate(_training(schedule, 0.05), 0, 1)
        assert math.isfinite(rate) and rate > 0
