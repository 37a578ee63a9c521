"""The loop when things go wrong: memory that runs out, losses that run away."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autolv.core.errors import Interrupted, TrainingError
from autolv.schema.plan import Training
from autolv.training.loop import Loss, Pace, fit, monitor_dice, step, step_in_memory
from autolv.training.sampler import Batch
from autolv.training.state import TrainState, make_optimiser, make_scaler

CPU = torch.device("cpu")
OUT_OF_MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
)


class Small(torch.nn.Module):
    """A convolution that fails for batches of more than ``room`` samples, as memory that runs out would."""

    def __init__(self, room: int, error: BaseException) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(1, 3, 1)
        self.room, self.error = room, error
        self.seen: list[int] = []

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        self.seen.append(len(x))
        if len(x) > self.room:
            raise self.error
        return (self.conv(x),)


def _loss(outputs: tuple[torch.Tensor, ...], labels: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
    assert known is None
    return torch.nn.functional.cross_entropy(outputs[0], labels)


def _batch(n: int = 8, value: float = 1.0) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(
        images=value * torch.randn((n, 1, 6, 6), generator=generator),
        labels=torch.randint(0, 3, (n, 6, 6), generator=generator),
        cases=tuple(f"case{i}" for i in range(n)),
    )


def _training() -> Training:
    return Training(
        batch_size=8, loss="dice_ce", deep_supervision_weights=(1.0,), optimiser="sgd", learning_rate=0.1,
        weight_decay=0.0, momentum=0.0, warmup_fraction=0.0, schedule="cosine", gradient_clip=1e6, augmentation="none",
        mirror=False, heart_fraction=1.0, epochs=1, iterations_per_epoch=2, expected_memory_gb=0.1, expected_minutes=0.1,
    )  # fmt: skip


def _state(network: torch.nn.Module) -> TrainState:
    return TrainState(network=network, optimiser=make_optimiser(network, _training()))


def _pace(network: torch.nn.Module, *, parts: int = 1, total: int = 2, **more: int) -> Pace:
    return Pace(device=CPU, precision="float32", channels_last=False, forward=network, total=total, parts=parts,
                **{"per_epoch": 2} | more)  # fmt: skip


def _fit(
    state: TrainState,
    batch_of: Callable[[int], Batch],
    *,
    on_epoch: Callable[[TrainState], None] = lambda _: None,
    stop_asked: Callable[[], bool] = lambda: False,
    loss: Loss = _loss,
    **pace: int,
) -> None:
    fit(
        state,
        batch_of=batch_of,
        loss=loss,
        pace=_pace(state.network, **pace),
        training=_training(),
        monitor=dict,
        on_epoch=on_epoch,
        stop_asked=stop_asked,
    )


@pytest.mark.parametrize("parts", [2, 3, 8])
def test_a_batch_in_parts_gives_the_step_of_the_whole(parts: int) -> None:
    losses, weights = [], []
    for count in (1, parts):
        state = _state(Small(8, MemoryError()))
        losses.append(step(state, _batch(), _loss, _pace(state.network, parts=count), _training()))
        weights.append(torch.cat([p.detach().flatten() for p in state.network.parameters()]))
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(weights[0], weights[1])


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["cuda", "cpu", "python"])
def test_out_of_memory_halves_what_goes_through_at_once_and_goes_on(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    tight, wide = _state(Small(3, error)), _state(Small(8, error))
    with caplog.at_level(logging.WARNING):
        _fit(tight, lambda _: _batch())
    _fit(wide, lambda _: _batch())
    assert tight.network.seen == [8, 4, *[2] * 8]  # halved twice, then two whole steps of four parts
    assert tight.parts == 4 and wide.parts == 1
    assert caplog.messages == [
        "out of memory: batches of 8 go through the network in 2 parts from now on.",
        "out of memory: batches of 8 go through the network in 4 parts from now on.",
    ]
    for one, other in zip(tight.network.parameters(), wide.network.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_resumed_run_goes_on_in_as_many_parts(tmp_path: Path) -> None:
    state = _state(Small(3, MemoryError()))
    _fit(state, lambda _: _batch())
    state.save(tmp_path / "state.pt")
    again = _state(Small(3, MemoryError()))
    assert again.load(tmp_path / "state.pt") and again.parts == 4
    _fit(again, lambda _: _batch(), total=3)
    assert again.network.seen == [2] * 4


def test_where_not_even_one_sample_fits_two_ways_out_are_named() -> None:
    state = _state(Small(0, MemoryError()))
    before = [p.clone() for p in state.network.parameters()]
    with pytest.raises(TrainingError, match="does not fit the memory") as caught:
        _fit(state, lambda _: _batch())
    assert "--memory-gb" in str(caught.value) and "--precision bfloat16" in str(caught.value)
    assert state.network.seen == [8, 4, 2, 1]
    assert all(torch.equal(p, q) for p, q in zip(state.network.parameters(), before, strict=True))


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    state = _state(Small(0, RuntimeError("shapes do not match")))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        _fit(state, lambda _: _batch())
    assert state.network.seen == [8]


@pytest.mark.parametrize("value", [math.nan, 1e6])
def test_a_loss_that_runs_away_stops_the_run_with_the_cases(value: float) -> None:
    state = _state(Small(8, MemoryError()))
    with pytest.raises(TrainingError, match=r"iteration 1, with the cases case0, case1") as caught:
        _fit(state, lambda iteration: _batch(2, value if iteration == 1 else 1.0))
    assert "is kept" in str(caught.value)
    assert state.iteration == 1


@pytest.mark.parametrize("value", [math.nan, 1e6])
@pytest.mark.parametrize("read_every", [1, 3, 4, 100])
def test_losses_that_are_read_together_still_name_the_first_bad_one_and_nothing_is_saved(
    value: float, read_every: int
) -> None:
    def batch_of(iteration: int) -> Batch:
        batch = _batch(2, value if iteration >= 6 else 1.0)
        return Batch(images=batch.images, labels=batch.labels, cases=(f"case{iteration}",))

    state, saved = _state(Small(8, MemoryError())), []
    with pytest.raises(TrainingError, match=r"at iteration 6, with the cases case6;"):
        _fit(
            state, batch_of, total=20, per_epoch=5, read_every=read_every, on_epoch=lambda s: saved.append(s.iteration)
        )
    assert saved == [5]
    assert 6 <= state.iteration < min(6 + read_every, 10)  # within the epoch


def test_a_run_that_is_stopped_reads_its_losses_before_it_can_be_saved() -> None:
    state = _state(Small(8, MemoryError()))
    with pytest.raises(TrainingError, match="at iteration 2"):
        _fit(state, lambda n: _batch(2, math.nan if n == 2 else 1.0), total=20, per_epoch=20, read_every=20,
             stop_asked=lambda: state.iteration == 3)  # fmt: skip
    calm = _state(Small(8, MemoryError()))
    with pytest.raises(Interrupted):
        _fit(calm, lambda _: _batch(2), total=20, per_epoch=20, read_every=20, stop_asked=lambda: calm.iteration == 3)
    assert calm.loss_sum > 0


def test_how_often_losses_are_read_changes_no_number() -> None:
    rows = []
    for read_every in (1, 3, 100):
        state = _state(Small(8, MemoryError()))
        _fit(state, lambda n: _batch(2, 1.0 + n), total=10, per_epoch=5, read_every=read_every)
        rows.append([row["loss"] for row in state.history])
    assert rows[0] == rows[1] == rows[2] and len(rows[0]) == 2


def test_a_sound_loss_with_a_gradient_that_is_not_stops_the_run_too() -> None:
    def loss(outputs: tuple[torch.Tensor, ...], labels: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
        return _loss(outputs, labels, known) + (0 * outputs[0]).sum().sqrt()  # the slope of the root is infinite at 0

    state = _state(Small(8, MemoryError()))
    with pytest.raises(TrainingError, match=r"its gradient became nan at iteration 0"):
        _fit(state, lambda _: _batch(2), loss=loss)


def test_in_float16_a_step_whose_gradient_is_not_finite_is_left_out() -> None:
    state = _state(Small(8, MemoryError()))
    state.scaler = make_scaler(CPU, "float16")
    before = [p.clone() for p in state.network.parameters()]
    pace = replace(_pace(state.network), precision="float16")
    huge = 3e38  # times the scale of 65536: infinite
    found = step(state, _batch(2), lambda outputs, *_: outputs[0].float().mean() * huge, pace, _training())
    assert all(torch.equal(p, q) for p, q in zip(state.network.parameters(), before, strict=True))
    assert state.scaler.get_scale() == 32768.0 and found.isfinite()
    step(state, _batch(2), _loss, pace, _training())
    assert not any(torch.equal(p, q) for p, q in zip(state.network.parameters(), before, strict=True))


def test_in_float16_memory_may_run_out_in_the_optimiser() -> None:
    state = _state(Small(8, MemoryError()))
    state.scaler = make_scaler(CPU, "float16")
    take, calls = state.optimiser.step, []

    def tight(*args: object, **kwargs: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError
        return take(*args, **kwargs)

    state.optimiser.step = tight  # type: ignore[method-assign]
    _, pace = step_in_memory(state, _batch(), _loss, replace(_pace(state.network), precision="float16"), _training())
    assert pace.parts == 2 and len(calls) == 2


@pytest.mark.parametrize("parts", [1, 3])
def test_each_part_comes_with_what_is_annotated_in_its_samples(parts: int) -> None:
    seen: list[torch.Tensor] = []

    def loss(outputs: tuple[torch.Tensor, ...], labels: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
        assert known is not None and len(known) == len(labels)
        seen.append(known)
        return _loss(outputs, labels)

    known = torch.tensor([[True, number % 3 > 0, number % 2 > 0] for number in range(8)])
    state = _state(Small(8, MemoryError()))
    step(state, replace(_batch(), known=known), loss, _pace(state.network, parts=parts), _training())
    assert len(seen) == parts
    assert torch.equal(torch.cat(seen), known)


class Constant(torch.nn.Module):
    """A network that finds class 1 in the left half of each image and class 2 in the right."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        logits = torch.zeros(len(x), 3, *x.shape[2:])
        half = x.shape[-1] // 2
        logits[:, 1, ..., :half] = 1.0
        logits[:, 2, ..., half:] = 1.0
        return (logits,)


def test_the_dice_that_is_watched_leaves_out_samples_in_which_a_structure_is_not_annotated() -> None:
    labels = torch.zeros(2, 6, 6, dtype=torch.int64)
    labels[:, :, :3] = 1
    labels[0, :3, 3:] = 2  # half of what is found there; in the second sample nobody looked for it
    known = torch.tensor([[True, True, True], [True, True, False]])
    batch = Batch(images=torch.zeros(2, 1, 6, 6), labels=labels, cases=("a", "b"), known=known)
    network = Constant()
    found = monitor_dice(network, [batch], ("lv_cavity", "rv_cavity"), _pace(network))
    assert found == {"dice_lv_cavity": 1.0, "dice_rv_cavity": pytest.approx(2 / 3)}  # 2 x 9 / (18 + 9)
    nobody = replace(batch, known=torch.tensor([[True, True, False]] * 2))
    assert math.isnan(monitor_dice(network, [nobody], ("lv_cavity", "rv_cavity"), _pace(network))["dice_rv_cavity"])
