"""nnU-Net's arm: its own trainer as shipped, on the CPU. Runs in nnU-Net's environment, which knows nothing of autolv."""

from __future__ import annotations

import copy
import json
import multiprocessing
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.dataloading.nnunet_dataset import comp_blosc2_params, nnUNetDatasetBlosc2
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from safetensors.numpy import load_file

from beside_nnunet.protocol import peak_rss_mib, serve

_PACKAGES = ("nnunetv2", "torch", "numpy", "batchgenerators", "batchgeneratorsv2", "blosc2",
             "dynamic-network-architectures")  # fmt: skip
_QUEUED = 16  # batches; more than its loader keeps ready


class NnunetArm:
    """What `nnUNetv2_train` keeps in memory while it trains a fold."""

    def __init__(self, task: dict[str, Any]) -> None:
        """Take the task that ``data.prepare`` wrote."""
        self._task, self._peer = task, task["nnunet"]
        self._batch_size: int = task["configuration"]["training"]["batch_size"]
        self._patch: list[int] = task["configuration"]["network"]["patch"]

    def store_cases(self) -> int:
        """Write autolv's preprocessed cases as nnU-Net stores its own; return how many were not there yet."""
        base = Path(nnUNet_preprocessed) / self._peer["dataset"]
        plan = self._peer["plans"]["configurations"][self._peer["configuration"]]
        folder = base / plan["data_identifier"]
        folder.mkdir(parents=True, exist_ok=True)
        names = {side: [Path(file).stem for file in files] for side, files in self._task["files"].items()}
        splits = [{"train": names["train"], "val": names["validation"]}]
        (base / "splits_final.json").write_text(json.dumps(splits), encoding="utf-8")
        (base / "dataset_fingerprint.json").write_text("{}", encoding="utf-8")
        classes = [code for code in self._peer["dataset_json"]["labels"].values() if code > 0]
        missing = [
            Path(file)
            for files in self._task["files"].values()
            for file in files
            if not (folder / f"{Path(file).stem}.pkl").exists()  # written last
        ]
        for file in missing:
            stored = load_file(file)
            image, labels = stored["image"][None], stored["labels"][None].astype(np.int16)  # (1, z, y, x)
            blocks, chunks = comp_blosc2_params(image.shape, self._patch, image.itemsize)
            label_blocks, label_chunks = comp_blosc2_params(labels.shape, self._patch, labels.itemsize)
            nnUNetDatasetBlosc2.save_case(
                image, labels, {"class_locations": DefaultPreprocessor._sample_foreground_locations(labels, classes)},
                str(folder / file.stem),
                chunks=chunks, blocks=blocks, chunks_seg=label_chunks, blocks_seg=label_blocks,
            )  # fmt: skip
        return len(missing)

    def set_up(self) -> dict[str, Any]:
        """Begin a fold as `nnUNetv2_train -device cpu` and ``nnUNetTrainer.run_training`` do."""
        torch.set_num_threads(multiprocessing.cpu_count())
        self._trainer = self._new_trainer()
        self._trainer.initialize()
        self._trainer.on_train_start()
        self._trainer.on_train_epoch_start()
        return {
            "parameters": sum(p.numel() for p in self._trainer.network.parameters()),
            "threads": torch.get_num_threads(),
            "workers": len(self._trainer.dataloader_train._processes),
            "versions": {name: version(name) for name in _PACKAGES},
        }

    def steps(self, count: int) -> dict[str, list[float]]:
        """Take steps; return the seconds of each iteration and, of these, those before its batch."""
        begun, ready = [], []
        for _ in range(count):
            begun.append(time.perf_counter())
            batch = next(self._trainer.dataloader_train)
            ready.append(time.perf_counter())
            self._trainer.train_step(batch)
        begun.append(time.perf_counter())
        return {
            "seconds": np.diff(begun).tolist(),
            "waits": (np.array(ready) - np.array(begun[:-1])).tolist(),
        }

    def load(self, batches: int) -> float:
        """Return the samples per second that the loader's processes make when nothing else is done."""
        for _ in range(_QUEUED + self._trainer.dataloader_train.num_cached):
            next(self._trainer.dataloader_train)
        begin = time.perf_counter()
        for _ in range(batches):
            next(self._trainer.dataloader_train)
        return batches * self._batch_size / (time.perf_counter() - begin)

    def augment(self, rounds: int) -> float:
        """Return the samples per second of the trainer's own transforms on one thread, sample by sample.

        Copies, since some transforms write into their input, are made ahead of each pass and not timed.
        """
        torch.set_num_threads(1)
        trainer = self._new_trainer()
        rotation, dummy_2d, size, mirror_axes = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        transforms = trainer.get_training_transforms(
            self._patch, rotation, None, mirror_axes, dummy_2d, use_mask_for_norm=[False]
        )
        stored = load_file(self._task["patches"])
        if tuple(stored["labels"].shape[1:]) != tuple(size):
            raise ValueError(f"nnU-Net gathers {tuple(size)} ahead of augmentation, not {stored['labels'].shape[1:]}")
        samples = [
            (torch.from_numpy(image), torch.from_numpy(labels[None].astype(np.int16)))
            for image, labels in zip(stored["images"], stored["labels"], strict=True)
        ]
        seconds = 0.0
        for _ in range(rounds):
            copies = [(image.clone(), labels.clone()) for image, labels in samples]
            begin = time.perf_counter()
            with torch.no_grad():
                for image, labels in copies:
                    transforms(image=image, segmentation=labels)
            seconds += time.perf_counter() - begin
        return rounds * len(samples) / seconds

    def finish(self) -> None:
        """End the loader's processes, where there are any."""
        if hasattr(self, "_trainer"):
            self._trainer.dataloader_train._finish()
            self._trainer.dataloader_val._finish()

    def _new_trainer(self) -> nnUNetTrainer:
        plans = copy.deepcopy(self._peer["plans"])
        return nnUNetTrainer(
            plans, self._peer["configuration"], 0, self._peer["dataset_json"], device=torch.device("cpu")
        )


def main() -> None:
    """Answer the requests for the task that the command line names."""
    arm = NnunetArm(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    serve({
        "store_cases": arm.store_cases,
        "set_up": arm.set_up,
        "steps": arm.steps,
        "load": arm.load,
        "augment": arm.augment,
        "peak_rss_mib": peak_rss_mib,
    })  # fmt: skip
    arm.finish()


if __name__ == "__main__":
    main()
