"""Which ways are worth timing, and which of those that were timed is taken."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

import psutil
import pytest
import torch

from autolv.schema.plan import Training
from autolv.schema.steps import Way
from autolv.training import trial
from autolv.training.sampler import Batch
from autolv.training.trial import candidates, compiling, run_trial

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
FAST = {"float32": 100.0, "bfloat16": 149.0, "float16": 140.0}


def _names(ways: list[Way]) -> list[str]:
    return [way.name for way in ways]


@pytest.mark.parametrize(
    ("rates", "precisions"),
    [
        (FAST, ["float32", "bfloat16", "float16"]),
        (FAST | {"float16": 0.3}, ["float32", "bfloat16"]),  # emulated: a step would take minutes
        (FAST | {"bfloat16": 150.0}, ["bfloat16", "float16"]),  # half as fast again
        ({"float32": 20.0, "bfloat16": 2.0}, ["float32"]),
    ],
)
@pytest.mark.parametrize("device", [CPU, CUDA], ids=str)
def test_a_precision_that_multiplies_more_slowly_than_float32_is_not_tried(
    rates: dict[str, float], precisions: list[str], device: torch.device
) -> None:
    ways = candidates(device, rates, precision="auto", layout="auto")
    assert _names(ways) == [f"{p} {layout}" for p in precisions for layout in ("contiguous", "channels_last")]


def test_what_is_asked_for_is_not_tried_but_taken() -> None:
    assert _names(candidates(CPU, FAST, precision="float16", layout="auto")) == ["float16 contiguous"]
    assert _names(candidates(CPU, {"float32": 1.0}, precision="bfloat16", layout="channels_last")) == [
        "bfloat16 channels_last"
    ]
    only = candidates(CPU, FAST, precision="auto", layout="channels_last")
    assert {way.channels_last for way in only} == {True} and len(only) == 3


def test_compiling_waits_for_long_runs_unless_it_is_asked_for() -> None:
    assert compiling("auto", 300.0) == "off"
    assert compiling("auto", 720.0) == "auto"
    assert compiling("on", 1.0) == "on"
    assert compiling("off", 1e9) == "off"


WAYS = candidates(CPU, {"float32": 1.0, "bfloat16": 1.4}, precision="auto", layout="auto")


def _run(ways: list[Way] = WAYS, *, compile_mode: str = "off") -> tuple[Way, dict[str, float]]:
    network = torch.nn.Conv2d(1, 3, 1)
    batch = Batch(images=torch.ones(2, 1, 4, 4), labels=torch.zeros(2, 4, 4, dtype=torch.int64), cases=("a", "b"))
    training = Training(
        batch_size=2, loss="dice_ce", deep_supervision_weights=(1.0,), optimiser="sgd", learning_rate=0.1,
        weight_decay=0.0, momentum=0.0, warmup_fraction=0.0, schedule="cosine", gradient_clip=1.0, augmentation="none",
        mirror=False, heart_fraction=1.0, epochs=1, iterations_per_epoch=2, expected_memory_gb=0.1, expected_minutes=0.1,
    )  # fmt: skip
    return run_trial(
        network, batch, lambda outputs, labels, known: outputs.float().square().mean(), training,  # type: ignore[attr-defined]
        device=CPU, ways=ways, compile_mode=compile_mode,
    )  # fmt: skip


def test_no_way_is_left_when_the_next_is_tried_nor_when_all_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[int] = []
    made: list[weakref.ref[torch.nn.Module]] = []
    original = trial.make_optimiser

    def make(network: torch.nn.Module, training: Training) -> torch.optim.Optimizer:
        network.itself = network  # type: ignore[assignment]  # as a compiled network and what it was compiled of do
        alive.append(sum(reference() is not None for reference in made))
        made.append(weakref.ref(network))
        return original(network, training)

    monkeypatch.setattr(trial, "make_optimiser", make)
    monkeypatch.setattr(trial, "compiled_forward", lambda network: network)
    _run(compile_mode="on")
    assert len(made) == len(WAYS) + 1 and alive == [0] * len(made)
    assert all(reference() is None for reference in made)


@pytest.mark.slow
def test_compiling_leaves_neither_processes_nor_networks_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # so that there is something to compile
    before = _children()
    seen: list[int] = []
    watching = threading.Event()

    def watch() -> None:
        while not watching.wait(0.05):
            seen.append(len(_children("cc1plus")))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        way, times = _run(WAYS[:1], compile_mode="on")
    finally:
        watching.set()
        thread.join()
    assert way.compiled and len(times) == 2
    assert max(seen) == 1  # one compiler at a time
    assert _children() == before


def _children(name: str = "") -> set[int]:
    """Return this process's descendants, of a name if one is given."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE and child.name().startswith(name):
                found.add(child.pid)
    return found


def _clock(monkeypatch: pytest.MonkeyPatch, seconds: list[float], rest: float = 9.0) -> None:
    """Let the steps of the ways take ``seconds``, in turn, and all after them ``rest``; a hopeless way is timed once."""
    turns = [[one] * (1 if one > 2 * min(seconds[:n], default=9e9) else 6) for n, one in enumerate(seconds)]
    times: Iterator[float] = chain.from_iterable(turns)

    def timed(take: Callable[[], None], device: torch.device) -> float:
        take()
        return next(times, rest)

    monkeypatch.setattr(trial, "_timed", timed)


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        ([1.0, 0.6, 0.4, 0.9], "bfloat16 contiguous"),
        ([1.0, 0.97, 0.98, 0.96], "float32 contiguous"),  # no way saves 5 %: the plainest
        ([1.0, 0.60, 0.59, 0.58], "float32 channels_last"),  # what comes after is not worth another precision
    ],
)
def test_of_ways_about_as_fast_the_plainest_is_taken(
    seconds: list[float], best: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _clock(monkeypatch, seconds)
    way, times = _run()
    assert way.name == best
    assert times == dict(zip(_names(WAYS), seconds, strict=True))


@pytest.mark.parametrize(
    ("mode", "compiled_s", "best"),
    [("auto", 0.5, "float32 contiguous compiled"), ("auto", 0.99, "float32 contiguous"),
     ("on", 3.0, "float32 contiguous compiled")],
)  # fmt: skip
def test_compiling_is_taken_where_it_is_faster_or_asked_for(
    mode: str, compiled_s: float, best: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "compiled_forward", lambda network: network)
    _clock(monkeypatch, [1.0], rest=compiled_s)
    way, times = _run(WAYS[:1], compile_mode=mode)
    assert way.name == best
    assert times == {"float32 contiguous": 1.0, "float32 contiguous compiled": compiled_s}


def test_without_a_compiler_steps_are_taken_as_they_are(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(network: torch.nn.Module) -> trial.Forward:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(trial, "compiled_forward", broken)
    with caplog.at_level(logging.WARNING):
        way, times = _run(WAYS[:1], compile_mode="on")
    assert way == WAYS[0] and list(times) == ["float32 contiguous"] and times["float32 contiguous"] > 0
    assert "torch.compile does not work here" in caplog.text
