"""TensorBoard's event files: each epoch once whatever happened, the patches, and a sentence where the package is missing."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from autolv.cli.train import main as train_main
from autolv.pipeline.tensorboard import discard_events, event_file
from autolv.reporting.patches import patches_figure

_EPOCH_S = 40.0


def _row(epoch: int) -> dict[str, float]:
    return {
        "epoch": float(epoch), "iteration": 10.0 * epoch, "loss": 1.0 / epoch, "learning_rate": 0.01,
        "dice_lv_cavity": 0.5 if epoch > 1 else math.nan, "seconds": _EPOCH_S, "data_seconds": 1.0,
    }  # fmt: skip


def _read(place: Path) -> EventAccumulator:
    """Return all that the files in ``place`` hold, also what TensorBoard itself would take for outdated."""
    return EventAccumulator(str(place), purge_orphaned_data=False).Reload()


def test_each_epoch_s_numbers_and_the_patches_are_there_at_once(tmp_path: Path) -> None:
    picture = tmp_path / "patches.png"
    patches_figure(np.zeros((2, 8, 8)), np.zeros((2, 8, 8), dtype=np.int64), ["a", "b"], picture, ("lv_cavity",))
    with event_file(tmp_path, [], picture) as add:
        add(_row(1))
        add(_row(2))
        found = _read(tmp_path)  # while the run goes on
    assert set(found.Tags()["scalars"]) == {"loss", "learning_rate", "dice/lv_cavity", "seconds", "data_seconds"}
    assert [(event.step, event.value) for event in found.Scalars("loss")] == [(1, 1.0), (2, 0.5)]
    (image,) = found.Images("patches")
    assert image.width > image.height > 100


def test_a_run_that_goes_on_after_a_kill_holds_each_epoch_once(tmp_path: Path) -> None:
    with event_file(tmp_path, [], tmp_path / "none.png") as add:
        for epoch in (1, 2, 3):
            add(_row(epoch))
    (first,) = tmp_path.glob("events.*")
    with first.open("ab") as file:
        file.write(b"half a rec")  # as a kill leaves it
    with event_file(tmp_path, [_row(1)], tmp_path / "none.png") as add:  # the state saved last knew one epoch
        add(_row(2))
    events = _read(tmp_path).Scalars("loss")
    assert [event.step for event in events] == [1, 2]
    assert events[1].wall_time - events[0].wall_time == pytest.approx(_EPOCH_S)  # pauses are left out
    assert len(list(tmp_path.glob("events.*"))) == 1


def test_a_fold_begun_anew_loses_its_events(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.1.host.2.0").touch()
    (tmp_path / "history.csv").touch()
    discard_events(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


def test_without_the_package_the_command_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    assert train_main(["-d", "D", "--log", "tensorboard", "--root", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "needs the package tensorboard" in said and "pip install tensorboard" in said and "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
