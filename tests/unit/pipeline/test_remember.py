"""What is remembered of trials comes back for the same setting only, and nothing that is odd about it is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autolv.core.workspace import Workspace
from autolv.pipeline.remember import keep, recall, remembered
from autolv.schema.steps import RememberedTrial, TrialSetting, Way

SETTING = TrialSetting(
    device="cpu", device_name="AMD EPYC", threads=2, torch="2.13.0+cpu", autolv="0.1.0", architecture="unet",
    patch=(144, 144), network_hash="00ff", samples=12, loss="dice_ce", optimiser="adamw", layout="auto",
    compile_mode="auto",
)  # fmt: skip
TRIAL = RememberedTrial(
    setting=SETTING, way=Way(precision="bfloat16", compiled=True),
    seconds={"float32 contiguous": 1.12, "bfloat16 contiguous": 0.3, "bfloat16 contiguous compiled": 0.25},
)  # fmt: skip


def test_a_trial_comes_back_and_a_newer_one_takes_its_place(workspace: Workspace) -> None:
    folder = workspace.steps()
    assert recall(folder, SETTING) is None and remembered(folder) == []
    keep(folder, TRIAL)
    assert recall(folder, SETTING) == TRIAL
    newer = TRIAL.model_copy(update={"way": Way(precision="bfloat16")})
    keep(folder, newer)
    assert recall(folder, SETTING) == newer and remembered(folder) == [newer]


@pytest.mark.parametrize(
    "change",
    [{"device_name": "Intel"}, {"threads": 4}, {"torch": "2.14.0"}, {"network_hash": "1"}, {"samples": 6},
     {"compile_mode": "off"}, {"layout": "contiguous"}, {"loss": "other"}, {"optimiser": "sgd"}],
    ids=str,
)  # fmt: skip
def test_another_setting_has_another_memory(change: dict[str, Any], tmp_path: Path) -> None:
    keep(tmp_path, TRIAL)
    other = SETTING.model_copy(update=change)
    assert recall(tmp_path, other) is None
    keep(tmp_path, TRIAL.model_copy(update={"setting": other}))
    assert recall(tmp_path, SETTING) == TRIAL and len(remembered(tmp_path)) == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b'{"version": 2}', TRIAL.to_json().replace('"way"', '"path"').encode(),
     TRIAL.to_json().replace('"bfloat16 contiguous compiled": 0.25', '"odd": 1.0').encode(),
     TRIAL.to_json().replace('"threads": 2', '"threads": 3').encode()],
    ids=["empty", "cut", "no text", "a list", "newer", "another key", "no time", "of another setting"],
)  # fmt: skip
def test_a_memory_that_cannot_be_used_is_ignored_and_replaced(content: bytes, tmp_path: Path) -> None:
    keep(tmp_path, TRIAL)
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    assert recall(tmp_path, SETTING) is None
    keep(tmp_path, TRIAL)
    assert recall(tmp_path, SETTING) == TRIAL


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    keep(tmp_path / "file", TRIAL)
    assert recall(tmp_path / "file", SETTING) is None
    keep(None, TRIAL)
    assert recall(None, SETTING) is None
