"""nnU-Net's fold in so many minutes: its own trainer with a shorter schedule and a smaller batch. Runs in its environment."""

from __future__ import annotations

import copy
import json
import multiprocessing
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

_EPOCHS = 30  # its rate falls once per epoch
_VALIDATION_STEPS = 2  # per epoch; their Dice is not used
_TRIED = 8  # steps that are timed
_WARM_UP = 3
_SHARE = 0.94  # of the minutes is planned for; ends of epochs, with pictures and checkpoints, take the rest


def trained(task: dict[str, Any]) -> dict[str, Any]:
    """Train the fold that ``task`` tells of, and return what it took. The minutes begin with the first step that counts."""
    torch.set_num_threads(multiprocessing.cpu_count())
    base = Path(nnUNet_preprocessed) / task["dataset"]
    plans = json.loads((base / "nnUNetPlans.json").read_text(encoding="utf-8"))
    plans["configurations"][task["configuration"]]["batch_size"] = task["batch"]
    (base / "splits_final.json").write_text(json.dumps([task["fold"]]), encoding="utf-8")
    labels = json.loads((base / "dataset.json").read_text(encoding="utf-8"))

    def new() -> nnUNetTrainer:
        own = copy.deepcopy(plans) | {"continue_training": False}
        trainer = nnUNetTrainer(own, task["configuration"], 0, labels, device=torch.device("cpu"))
        trainer.num_epochs, trainer.num_val_iterations_per_epoch = _EPOCHS, _VALIDATION_STEPS
        return trainer

    seconds = _step_s(new())
    trainer = new()
    trainer.num_iterations_per_epoch = max(1, int(_SHARE * task["minutes"] * 60 / seconds / _EPOCHS))
    begin = time.monotonic()
    trainer.run_training()
    return {
        "minutes": (time.monotonic() - begin) / 60, "iterations": trainer.num_iterations_per_epoch * _EPOCHS,
        "seconds_per_step": seconds, "batch": task["batch"], "epochs": _EPOCHS,
        "parameters": sum(p.numel() for p in trainer.network.parameters()), "folder": trainer.output_folder,
    }  # fmt: skip


def _step_s(trainer: nnUNetTrainer) -> float:
    """Return the seconds of a step, as its loader's processes make batches beside it."""
    trainer.initialize()
    trainer.on_train_start()
    trainer.on_train_epoch_start()
    times = [time.perf_counter()]
    for _ in range(_WARM_UP + _TRIED):
        trainer.train_step(next(trainer.dataloader_train))
        times.append(time.perf_counter())
    trainer.dataloader_train._finish()
    trainer.dataloader_val._finish()
    return statistics.median(b - a for a, b in zip(times[_WARM_UP:], times[_WARM_UP + 1 :], strict=False))


def main() -> None:
    """Train what the file that the command line names tells of, and write beside it what it took."""
    task = Path(sys.argv[1])
    found = trained(json.loads(task.read_text(encoding="utf-8")))
    task.with_name("trained.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
