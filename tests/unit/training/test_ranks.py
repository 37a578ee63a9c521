"""Several processes that share every batch train as one does; what befalls one of them is told to all.

Each test starts processes as torchrun does, by the environment, and has them call a function of this file.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import pytest
import torch
from safetensors.torch import load_file, save_file

from autolv.cli.run import end_of_one_of_several
from autolv.core.errors import AutolvError, DeviceError, Interrupted, TrainingError
from autolv.losses import LOSSES
from autolv.losses._deep_supervision import DeepSupervisionLoss
from autolv.networks import build_network
from autolv.runtime.ranks import Alone, Group, Ranks, joined
from autolv.schema.plan import Network, Training
from autolv.training.loop import Pace, fit
from autolv.training.sampler import Batch, Sampler, TrainingCase
from autolv.training.state import TrainState, make_optimiser

TOTAL = 10
NETWORK = Network(
    architecture="unet", patch=(24, 24), in_channels=1, classes=3, features=(4, 6, 8), kernels=((3, 3),) * 3,
    strides=((1, 1), (2, 2), (2, 2)), blocks=(1, 1, 1), decoder_blocks=(1, 1), heads=2,
)  # fmt: skip
TRAINING = Training(
    batch_size=5, loss="dice_ce", deep_supervision_weights=(2 / 3, 1 / 3), optimiser="adamw", learning_rate=0.01,
    weight_decay=0.01, momentum=0.9, warmup_fraction=0.3, schedule="cosine", gradient_clip=0.5,
    augmentation="vendor-robust", mirror=True, heart_fraction=0.67, epochs=1, iterations_per_epoch=TOTAL,
    expected_memory_gb=1.0, expected_minutes=1.0,
)  # fmt: skip


def _case(name: str, depth: int, seed: int) -> TrainingCase:
    labels = torch.zeros((depth, 36, 30), dtype=torch.uint8)
    labels[:, 10:24, 8:20] = 1
    labels[:, 13:21, 11:17] = 2
    image = torch.randn((depth, 36, 30), generator=torch.Generator().manual_seed(seed)) + 3 * labels
    return TrainingCase(case=name, patient=name, image=image, labels=labels, heart_box=((0, depth), (10, 24), (8, 20)))


def _training(optimiser: str) -> Training:
    """Return AdamW with gradients that are clipped, or SGD with such that are not, which sees their size."""
    return TRAINING.model_copy(update={"optimiser": optimiser, "gradient_clip": {"adamw": 0.5, "sgd": 99.0}[optimiser]})


def _sampler(training: Training, share: tuple[int, int] = (0, 1)) -> Sampler:
    return Sampler([_case("a", 3, 1), _case("b", 4, 2)], NETWORK, training, seed=5, share=share)


def _fit(
    ranks: Ranks,
    training: Training,
    *,
    device: str = "cpu",
    parts: int = 1,
    room: int = 99,
    before: Callable[[int], None] = lambda _: None,
    stop_asked: Callable[[TrainState], bool] = lambda _: False,
) -> TrainState:
    """Train on a share of each batch; memory runs out where more than ``room`` samples go through the network at once.

    ``before`` is called with each iteration's number before its batch is made.
    """
    torch.manual_seed(0)
    network = build_network(NETWORK).to(device)
    sampler = _sampler(training, (ranks.rank, ranks.size))
    state = TrainState(network=network, optimiser=make_optimiser(network, training))

    def forward(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs: tuple[torch.Tensor, ...] = network(images)
        if len(images) > room:
            raise torch.OutOfMemoryError("out of memory")
        return outputs

    def batch_of(iteration: int) -> Batch:
        before(iteration)
        return sampler.batch(iteration)

    loss = LOSSES.get(training.loss)(total=ranks.total)
    fit(
        state,
        batch_of=batch_of,
        loss=DeepSupervisionLoss(loss, training.deep_supervision_weights),
        pace=Pace(
            device=torch.device(device), precision="float32", channels_last=False, forward=forward, total=TOTAL,
            per_epoch=1, parts=parts, ranks=ranks,
        ),
        training=training,
        monitor=dict,
        on_epoch=lambda _: None,
        stop_asked=lambda: stop_asked(state),
    )  # fmt: skip
    return state


def _losses(state: TrainState) -> list[float]:
    return [row["loss"] for row in state.history]


def _start(function: str, size: int, folder: Path, device: str = "cpu") -> list[subprocess.Popen[str]]:
    """Start the ``size`` processes of a group; each calls ``function`` of this file with its ranks, place and device."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "x"}
    code = f"import runpy; runpy.run_path({__file__!r})['_be_one']({function!r}, {str(folder)!r}, {device!r})"
    return [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **told, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
        )
        for rank in range(size)
    ]  # fmt: skip


def _be_one(function: str, folder: str, device: str) -> None:
    """Join the others, call ``function``, and end as the commands do."""
    try:
        with joined(device) as (ranks, own_device):
            globals()[function](ranks, Path(folder), own_device)
    except AutolvError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        end_of_one_of_several(error.exit_status)
    end_of_one_of_several(0)


def _ended(processes: Sequence[subprocess.Popen[str]], limit_s: float = 120.0) -> list[tuple[int, str]]:
    """Return each one's status and what it said; all must end within ``limit_s``."""
    deadline = time.monotonic() + limit_s
    try:
        said = [process.communicate(timeout=max(0.1, deadline - time.monotonic()))[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]


def _all_well(processes: Sequence[subprocess.Popen[str]]) -> None:
    ended = _ended(processes)
    assert [status for status, _ in ended] == [0] * len(ended), "\n".join(text for _, text in ended)


def _train_each_way(ranks: Ranks, folder: Path, device: str) -> None:
    """Train with either optimiser, with memory that runs out in one process, and stopped by one process."""
    for optimiser in ("adamw", "sgd"):
        _write(_fit(ranks, _training(optimiser), device=device), folder / f"{optimiser}{ranks.rank}")
    even = TRAINING.model_copy(update={"batch_size": 4})
    _write(_fit(ranks, even, parts=2, device=device), folder / f"planned{ranks.rank}")
    state = _fit(ranks, even, room=1 if ranks.rank == 1 else 99, device=device)
    _write(state, folder / f"tight{ranks.rank}")
    (folder / f"parts{ranks.rank}").write_text(str(state.parts))
    try:
        _fit(ranks, TRAINING, device=device, stop_asked=lambda state: ranks.rank == 1 and state.iteration == 3)
    except Interrupted as error:
        (folder / f"stop{ranks.rank}").write_text(error.message)


def _write(state: TrainState, path: Path) -> None:
    save_file({name: tensor.cpu().clone() for name, tensor in state.network.state_dict().items()}, path)
    path.with_suffix(".json").write_text(json.dumps(_losses(state)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left that trained together in several ways; made once."""
    folder = tmp_path_factory.mktemp("two")
    _all_well(_start("_train_each_way", 2, folder))
    return folder


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_two_processes_have_the_loss_curve_and_the_weights_of_one(
    trained: Path, optimiser: Literal["adamw", "sgd"]
) -> None:
    alone = _fit(Alone(), _training(optimiser))
    assert max(_losses(alone)) > min(_losses(alone)) + 0.1  # something is learnt
    for rank in (0, 1):
        losses = json.loads((trained / f"{optimiser}{rank}.json").read_text())
        assert losses == pytest.approx(_losses(alone), rel=1e-4)
        weights = load_file(trained / f"{optimiser}{rank}")
        for name, tensor in alone.network.state_dict().items():
            torch.testing.assert_close(weights[name], tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["adamw", "sgd", "planned", "tight"])
def test_all_processes_hold_the_same_weights(trained: Path, name: str) -> None:
    assert (trained / f"{name}0").read_bytes() == (trained / f"{name}1").read_bytes()


def test_where_memory_runs_out_in_one_process_all_halve_what_goes_through_at_once(trained: Path) -> None:
    assert [(trained / f"parts{rank}").read_text() for rank in (0, 1)] == ["2", "2"]
    assert (trained / "tight0").read_bytes() == (trained / "planned0").read_bytes()


def test_one_that_is_asked_to_stop_stops_all_after_the_same_iteration(trained: Path) -> None:
    said = [(trained / f"stop{rank}").read_text() for rank in (0, 1)]
    assert said == ["stopped as asked after iteration 3 of 10; the state is saved."] * 2


@pytest.mark.gpu
def test_on_gpus_too(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    _all_well(_start("_train_each_way", min(2, torch.cuda.device_count()), tmp_path, "cuda"))
    losses = json.loads((tmp_path / "sgd0.json").read_text())
    assert losses == pytest.approx(_losses(_fit(Alone(), _training("sgd"))), rel=1e-3)


def _agree(ranks: Ranks, folder: Path, device: str) -> None:
    assert ranks.is_main == (ranks.rank == 0)
    assert ranks.from_main(lambda: f"from {ranks.rank}, ä") == "from 0, ä"
    assert ranks.from_main(lambda: None) == ""
    assert ranks.anywhere(ranks.rank == 1) and not ranks.anywhere(False)
    assert ranks.least(7 - ranks.rank) == 6
    sums = torch.tensor([1.0 + ranks.rank, 5.0], requires_grad=True)
    whole = ranks.total(sums)
    assert whole.tolist() == [3.0, 10.0]
    (whole * torch.tensor([2.0, 3.0])).sum().backward()  # type: ignore[no-untyped-call]
    assert sums.grad is not None and sums.grad.tolist() == [2.0, 3.0]
    weights = torch.nn.Parameter(torch.zeros(2, 3, 2, 2).to(memory_format=torch.channels_last))
    idle = torch.nn.Parameter(torch.zeros(2))
    weights.grad = torch.arange(24.0).view(2, 3, 2, 2).to(memory_format=torch.channels_last)
    ranks.add_gradients([weights, idle])
    assert torch.equal(weights.grad, 2 * torch.arange(24.0).view(2, 3, 2, 2)) and idle.grad is None
    ranks.from_main(_refuse)


def _refuse() -> str:
    raise Interrupted("stopped as asked.", remedy="Run it again.")


def test_what_the_first_finds_or_refuses_reaches_all(tmp_path: Path) -> None:
    ended = _ended(_start("_agree", 2, tmp_path))
    assert [status for status, _ in ended] == [130, 130], ended
    assert all("Interrupted: stopped as asked. Run it again." in said for _, said in ended)


def _die_at_three(ranks: Ranks, folder: Path, device: str) -> None:
    def die(iteration: int) -> None:
        if iteration == 3 and ranks.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    _fit(ranks, TRAINING, before=die)


def _fail_at_three(ranks: Ranks, folder: Path, device: str) -> None:
    def fail(iteration: int) -> None:
        if iteration == 3 and ranks.rank == 1:
            raise TrainingError("batch 3 cannot be made.")

    _fit(ranks, TRAINING, before=fail)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(("trouble", "status", "own"), [
    ("_die_at_three", -9, ""), ("_fail_at_three", 2, "TrainingError: batch 3 cannot be made."),
])  # fmt: skip
def test_when_one_process_ends_the_other_ends_with_a_sentence(
    tmp_path: Path, trouble: str, status: int, own: str
) -> None:
    processes = _start(trouble, 2, tmp_path)
    processes[1].wait(timeout=120)
    begin = time.monotonic()
    ended = _ended(processes, limit_s=30)
    assert time.monotonic() - begin < 30
    assert [code for code, _ in ended] == [2, status]
    assert "TrainingError: another process of this training is no longer there" in ended[0][1]
    assert "Traceback" not in ended[0][1] and own in ended[1][1]


def test_the_shares_of_a_batch_are_together_the_batch_of_one() -> None:
    whole = _sampler(TRAINING).batch(4)
    shares = [_sampler(TRAINING, (rank, 3)).batch(4) for rank in range(3)]
    assert [len(share.cases) for share in shares] == [1, 2, 2]
    assert torch.equal(torch.cat([share.labels for share in shares]), whole.labels)
    torch.testing.assert_close(torch.cat([share.images for share in shares]), whole.images, rtol=1e-6, atol=1e-6)
    assert sum((share.cases for share in shares), ()) == whole.cases


def test_more_processes_than_samples_are_refused() -> None:
    with pytest.raises(TrainingError, match="6 processes cannot share batches of 5") as caught:
        _sampler(TRAINING, (0, 6))
    assert "at most 5" in caught.value.remedy


def test_one_device_is_not_shared_by_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("LOCAL_RANK", "1")
    for device, said in (("cuda:0", "is one device"), ("mps", "is one device"), ("cuda", "more processes than")):
        with pytest.raises(DeviceError, match=said), joined(device):
            pass


def test_without_torchrun_a_process_is_alone() -> None:
    with joined("auto") as (ranks, device):
        assert isinstance(ranks, Alone) and not isinstance(ranks, Group) and device == "auto"
        assert (ranks.rank, ranks.size, ranks.is_main) == (0, 1, True)
