"""autolv's arm: the steps that `autolv_train` takes, measured in the way and the order that it takes them."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file

from autolv.augmentation import apply, draw
from autolv.imageio.store import open_stored
from autolv.losses import LOSSES
from autolv.losses._deep_supervision import DeepSupervisionLoss
from autolv.pipeline.fold import training_cases
from autolv.pipeline.job import FoldJob, fresh_network, laid_out, seed_of
from autolv.pipeline.measure import measure, pace_of
from autolv.pipeline.versions import versions
from autolv.planning.budget import step_flops
from autolv.runtime.device import prepare
from autolv.runtime.rates import matmul_rates
from autolv.schema.dataset import Dataset
from autolv.schema.plan import Configuration
from autolv.schema.record import from_json
from autolv.schema.results import RunChoices
from autolv.training.average import averaged_from
from autolv.training.loop import Loss, fit
from autolv.training.sampler import Batch, Sampler
from autolv.training.state import TrainState, make_optimiser, make_scaler
from beside_nnunet.data import PRESET
from beside_nnunet.protocol import peak_rss_mib, serve

_CPU = torch.device("cpu")


class AutolvArm:
    """What `autolv_train` keeps in memory while it trains a fold."""

    def __init__(self, task: dict[str, Any]) -> None:
        """Take the task that ``data.prepare`` wrote."""
        self._task = task
        self._configuration = from_json(Configuration, json.dumps(task["configuration"]), where="the task")
        training = self._configuration.training
        loss = DeepSupervisionLoss(LOSSES.get(training.loss)(), training.deep_supervision_weights)
        self._loss = cast("Loss", loss)

    def set_up(self, minutes: float) -> dict[str, Any]:
        """Begin a fold as ``train_fold`` does, the trial of the ways to take steps included."""
        begin, threads = time.monotonic(), prepare(_CPU)
        job, training = self._job(minutes), self._configuration.training
        self._sampler = Sampler(
            training_cases([open_stored(Path(file)) for file in self._task["files"]["train"]]),
            self._configuration.network,
            training,
            seed=seed_of(job),
        )
        network = fresh_network(job)
        measured = measure(job, network, self._sampler, self._loss, _CPU, threads, begin)
        network = laid_out(network, self._configuration, channels_last=measured.channels_last)
        self._pace = pace_of(measured, network, _CPU)
        average = averaged_from(network) if training.weight_average > 0 else []
        self._state = TrainState(
            network=network,
            optimiser=make_optimiser(network, training),
            average=average,
            scaler=make_scaler(_CPU, measured.precision),
        )
        return {
            "measured": measured.model_dump(mode="json"),
            "parameters": sum(p.numel() for p in network.parameters()),
            "way": measured.way.name,
            "gflop_per_step": step_flops(self._configuration.network, training.batch_size) / 1e9,
            "versions": versions(),
        }

    def steps(self, count: int) -> dict[str, list[float]]:
        """Take steps by the training loop; return the seconds of each iteration and, of these, those before its batch."""
        begun, ready = [], []

        def batch_of(iteration: int) -> Batch:
            begun.append(time.perf_counter())
            batch = self._sampler.batch(iteration)
            ready.append(time.perf_counter())
            return batch

        total = self._state.iteration + count
        fit(
            self._state,
            batch_of=batch_of,
            loss=self._loss,
            pace=replace(self._pace, total=total, per_epoch=total),
            training=self._configuration.training,
            monitor=dict,
            on_epoch=lambda _: None,
            stop_asked=lambda: False,
        )
        begun.append(time.perf_counter())
        return {
            "seconds": np.diff(begun).tolist(),
            "waits": (np.array(ready) - np.array(begun[:-1])).tolist(),
        }

    def load(self, batches: int) -> float:
        """Return the samples per second that the sampler makes when nothing else is done."""
        begin = time.perf_counter()
        for iteration in range(batches):
            self._sampler.batch(iteration)
        return batches * self._configuration.training.batch_size / (time.perf_counter() - begin)

    def augment(self, rounds: int) -> float:
        """Return the samples per second of augmentation alone on one thread, by ``PRESET``, batch by batch."""
        torch.set_num_threads(1)
        patches = load_file(self._task["patches"])
        size, patch = self._configuration.training.batch_size, self._configuration.network.patch
        batches = list(zip(patches["images"].split(size), patches["labels"].split(size), strict=True))
        rng = np.random.default_rng(0)
        begin = time.perf_counter()
        for _ in range(rounds):
            for images, labels in batches:
                apply(images, labels, draw(PRESET, len(images), rng, mirror=True), patch)
        return rounds * len(patches["images"]) / (time.perf_counter() - begin)

    def matmul(self) -> dict[str, float]:
        """Return the rate of a matrix product in each type, in GFLOP/s."""
        return matmul_rates(_CPU)

    def _job(self, minutes: float) -> FoldJob:
        """Return the fold's job; what training itself does not ask for is empty."""
        return FoldJob(
            place=Path(),
            dataset=Dataset(name="benchmark", labels={"lv_cavity": 1}, file_ending=".nii.gz", training=()),
            run="benchmark",
            fold=0,
            configuration=self._configuration,
            choices=RunChoices(plan_hash="", splits_hash="", seed=0, epochs=None, time_budget_minutes=minutes),
            train_patients=(),
            validation_patients=(),
            train_cases=(),
            validation_cases=(),
            device="cpu",
            precision="auto",
            compile_mode=self._task["compile"],
            overwrite=False,
            start=None,
        )


def main() -> None:
    """Answer the requests for the task that the command line names."""
    arm = AutolvArm(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    serve({
        "set_up": arm.set_up,
        "steps": arm.steps,
        "load": arm.load,
        "augment": arm.augment,
        "matmul": arm.matmul,
        "peak_rss_mib": peak_rss_mib,
    })  # fmt: skip


if __name__ == "__main__":
    main()
