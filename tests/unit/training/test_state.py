"""A saved state is the state: bit for bit, and the one before it when the newest is damaged."""

import logging
from pathlib import Path

import pytest
import torch

from autolv.core.errors import TrainingError
from autolv.training.state import TrainState


def _state(seed: int = 0) -> TrainState:
    torch.manual_seed(seed)
    network = torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.1)
    return TrainState(network=network, optimiser=optimiser)


def _advance(state: TrainState) -> None:
    state.optimiser.zero_grad()
    state.network(torch.ones(1, 3)).sum().backward()
    state.optimiser.step()
    state.iteration += 1


def test_round_trip_then_equal_steps(tmp_path: Path) -> None:
    first = _state()
    _advance(first)
    first.loss_sum = 0.25
    first.history.append({"epoch": 1.0, "loss": 0.5})
    first.save(tmp_path / "state.pt")
    second = _state(seed=1)
    assert second.load(tmp_path / "state.pt")
    assert (second.iteration, second.loss_sum, second.history) == (1, 0.25, [{"epoch": 1.0, "loss": 0.5}])
    _advance(first)
    _advance(second)
    for a, b in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_nothing_saved_yet(tmp_path: Path) -> None:
    assert not _state().load(tmp_path / "state.pt")


@pytest.mark.parametrize("keep", [0, 10, 1000])
def test_a_truncated_state_falls_back_to_the_one_before(
    tmp_path: Path, keep: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state.pt"
    state = _state()
    _advance(state)
    state.save(path)
    _advance(state)
    state.save(path)
    path.write_bytes(path.read_bytes()[:keep])
    again = _state(seed=2)
    with caplog.at_level(logging.WARNING):
        assert again.load(path)
    assert again.iteration == 1
    assert "cannot be read" in caplog.text


def test_both_damaged_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(b"no")
    with pytest.raises(TrainingError, match="neither") as caught:
        _state().load(path)
    assert "--overwrite" in caught.value.remedy


def test_a_state_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "owned",)  # type: ignore[return-value]

    torch.save({"network": Payload()}, tmp_path / "state.pt")
    with pytest.raises(TrainingError):
        _state().load(tmp_path / "state.pt")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9, -1])
def test_a_single_flipped_bit_is_seen(tmp_path: Path, place: float, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "state.pt"
    state = _state()
    for _ in range(2):
        _advance(state)
        state.save(path)
    content = bytearray(path.read_bytes())
    content[int(place * len(content)) if place > 0 else -1] ^= 1
    path.write_bytes(content)
    again = _state(seed=2)
    with caplog.at_level(logging.WARNING):
        assert again.load(path)
    assert again.iteration == 1 and "cannot be read" in caplog.text
