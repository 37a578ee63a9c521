"""A run stopped in mid-epoch, saved, and loaded by another process goes on as if it had never stopped: bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from autolv.core.errors import Interrupted
from autolv.losses import LOSSES
from autolv.losses._deep_supervision import DeepSupervisionLoss
from autolv.networks import build_network
from autolv.schema.plan import Network, Training
from autolv.training.average import averaged_from
from autolv.training.loop import Pace, fit, monitor_dice
from autolv.training.sampler import Sampler, TrainingCase, monitor_patches
from autolv.training.state import TrainState, make_optimiser, make_scaler

_CPU = torch.device("cpu")
_STRUCTURES = ("lv_myocardium", "lv_cavity")
_TOTAL, _PER_EPOCH = 10, 4  # epochs of 4, 4 and 2 iterations
_NETWORK = Network(
    architecture="unet", patch=(24, 24), in_channels=1, classes=3, features=(4, 6, 8), kernels=((3, 3),) * 3,
    strides=((1, 1), (2, 2), (2, 2)), blocks=(1, 1, 1), decoder_blocks=(1, 1), heads=2,
)  # fmt: skip


def _training(optimiser: Literal["adamw", "sgd"]) -> Training:
    return Training(
        batch_size=3, loss="dice_ce", deep_supervision_weights=(2 / 3, 1 / 3), optimiser=optimiser, learning_rate=0.01,
        weight_decay=0.01, momentum=0.9, warmup_fraction=0.3, schedule="cosine", gradient_clip=1.0,
        augmentation="vendor-robust", mirror=True, heart_fraction=0.67, epochs=3, iterations_per_epoch=_PER_EPOCH,
        expected_memory_gb=1.0, expected_minutes=1.0, weight_average=0.9,
    )  # fmt: skip


def _case(name: str, depth: int, seed: int) -> TrainingCase:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.zeros((depth, 36, 30), dtype=torch.uint8)
    labels[:, 10:24, 8:20] = 1
    labels[:, 13:21, 11:17] = 2
    image = torch.randn((depth, 36, 30), generator=generator) + 3 * labels
    return TrainingCase(case=name, patient=name, image=image, labels=labels, heart_box=((0, depth), (10, 24), (8, 20)))


class _Process:
    """All that one process makes anew; ``seed`` is that of torch's and numpy's global generators in it."""

    def __init__(self, optimiser: Literal["adamw", "sgd"], seed: int, precision: str, read_every: int) -> None:
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - nobody may depend on it
        cases = [_case("a", 3, seed=1), _case("b", 4, seed=2)]
        network = build_network(_NETWORK)
        self.training = _training(optimiser)
        self.precision, self.read_every = precision, read_every
        self.state = TrainState(
            network=network,
            optimiser=make_optimiser(network, self.training),
            average=averaged_from(network),
            scaler=make_scaler(_CPU, precision),
        )
        self._sampler = Sampler(cases, _NETWORK, self.training, seed=5)
        self._watched = monitor_patches([_case("c", 3, seed=3)], _NETWORK)

    def fit(self, *, stop_asked: Callable[[], bool] = lambda: False) -> None:
        network, training = self.state.network, self.training
        pace = Pace(
            device=_CPU, precision=self.precision, channels_last=False, forward=network, total=_TOTAL,
            per_epoch=_PER_EPOCH, read_every=self.read_every,
        )  # fmt: skip
        fit(
            self.state,
            batch_of=self._sampler.batch,
            loss=DeepSupervisionLoss(LOSSES.get(training.loss)(), training.deep_supervision_weights),
            pace=pace,
            training=training,
            monitor=lambda: monitor_dice(network, self._watched, _STRUCTURES, pace),
            on_epoch=lambda _: None,
            stop_asked=stop_asked,
        )

    @property
    def history(self) -> list[dict[str, float]]:
        return [{key: value for key, value in row.items() if "seconds" not in key} for row in self.state.history]


@pytest.mark.parametrize(
    ("optimiser", "precision", "read_every"),
    [("adamw", "float32", 1), ("sgd", "float32", 1), ("adamw", "bfloat16", 3), ("sgd", "float16", 3),
     ("adamw", "float16", 1)],
)  # fmt: skip
def test_a_resumed_run_ends_bit_equal(
    tmp_path: Path, optimiser: Literal["adamw", "sgd"], precision: str, read_every: int
) -> None:
    calm = _Process(optimiser, 0, precision, read_every)
    calm.fit()
    assert [row["iteration"] for row in calm.history] == [4, 8, 10]
    assert len({row["dice_lv_myocardium"] for row in calm.history}) == 3  # something is learnt in each epoch

    seed = 0
    for stop in (2, 7):  # in the middle of the first epoch's warm-up, and of the second epoch
        process = _Process(optimiser, seed, precision, read_every)
        assert process.state.load(tmp_path / "state.pt") == (stop != 2)
        with pytest.raises(Interrupted, match=f"after iteration {stop} of 10"):
            process.fit(stop_asked=lambda state=process.state, stop=stop: state.iteration == stop)
        assert process.state.loss_sum > 0  # the epoch's losses so far go along
        process.state.save(tmp_path / "state.pt")
        seed += 1

    last = _Process(optimiser, seed, precision, read_every)
    assert not _equal(last.state, calm.state)
    assert last.state.load(tmp_path / "state.pt")
    assert last.state.iteration == 7
    last.fit()
    assert _equal(last.state, calm.state)
    assert last.history == calm.history
    assert last.state.scaler.state_dict() == calm.state.scaler.state_dict()


def _equal(one: TrainState, other: TrainState) -> bool:
    weights = zip(one.network.state_dict().items(), other.network.state_dict().items(), strict=True)
    averages = zip(one.average, other.average, strict=True)
    return all(name == same and torch.equal(a, b) for (name, a), (same, b) in weights) and all(
        torch.equal(a, b) for a, b in averages
    )
