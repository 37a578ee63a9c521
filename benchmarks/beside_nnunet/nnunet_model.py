"""A trained model's folder as nnU-Net leaves it, with random weights: how long prediction takes does not depend on them.

    python -m beside_nnunet.nnunet_model FOLDER 2d|3d_fullres FOLDS

Runs in nnU-Net's environment. The plans are those that nnU-Net 2.8.1 makes for ACDC's 200 frames on its default GPU.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

_LABELS = {"background": 0, "RV": 1, "MLV": 2, "LVC": 3}
_RESAMPLING = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
_FLAT = {
    "patch": [256, 224], "spacing": [1.5625, 1.5625], "batch": 56, "features": [32, 64, 128, 256, 512, 512],
    "kernels": [[3, 3]] * 6, "strides": [[1, 1], *[[2, 2]] * 5],
}  # fmt: skip
_DEEP = {
    "patch": [20, 256, 224], "spacing": [5.0, 1.5625, 1.5625], "batch": 4, "features": [32, 64, 128, 256, 320, 320],
    "kernels": [[1, 3, 3], *[[3, 3, 3]] * 5],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2], [1, 2, 2]],
}  # fmt: skip


def plans_of(name: str) -> dict[str, Any]:
    """Return nnU-Net's plans for ACDC with one of their configurations."""
    one, dims = (_FLAT, 2) if name == "2d" else (_DEEP, 3)
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 6, "features_per_stage": one["features"], "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
            "kernel_sizes": one["kernels"], "strides": one["strides"], "n_conv_per_stage": [2] * 6,
            "n_conv_per_stage_decoder": [2] * 5, "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True}, "dropout_op": None, "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }  # fmt: skip
    function = "resample_data_or_seg_to_shape"
    configuration = {
        "data_identifier": f"nnUNetPlans_{name}", "preprocessor_name": "DefaultPreprocessor",
        "batch_size": one["batch"], "patch_size": one["patch"], "spacing": one["spacing"],
        "normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": [False], "batch_dice": dims == 2,
        "resampling_fn_data": function, "resampling_fn_data_kwargs": _RESAMPLING,
        "resampling_fn_seg": function, "resampling_fn_seg_kwargs": {**_RESAMPLING, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": function, "resampling_fn_probabilities_kwargs": {**_RESAMPLING, "order": 1},
        "architecture": architecture,
    }  # fmt: skip
    return {
        "dataset_name": "Dataset027_ACDC", "plans_name": "nnUNetPlans", "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2], "label_manager": "LabelManager",
        "experiment_planner_used": "ExperimentPlanner", "configurations": {name: configuration},
        "foreground_intensity_properties_per_channel": {"0": {}},
    }  # fmt: skip


def random_networks(plans: dict[str, Any], name: str, count: int) -> list[torch.nn.Module]:
    """Return networks of a configuration as nnU-Net builds and initialises them."""
    architecture = plans["configurations"][name]["architecture"]
    networks = []
    for seed in range(count):
        torch.manual_seed(seed)
        networks.append(
            get_network_from_plans(
                architecture["network_class_name"], architecture["arch_kwargs"], architecture["_kw_requires_import"],
                1, len(_LABELS), deep_supervision=False,
            )
        )  # fmt: skip
    return networks


def write_folder(folder: Path, plans: dict[str, Any], name: str, networks: Sequence[torch.nn.Module]) -> None:
    """Write plans, dataset and a checkpoint per fold, whose mirroring is along all axes."""
    dataset = {"channel_names": {"0": "MRI"}, "labels": _LABELS, "numTraining": 200, "file_ending": ".nii.gz"}
    for fold, network in enumerate(networks):
        place = folder / f"fold_{fold}"
        place.mkdir(parents=True, exist_ok=True)
        checkpoint = {
            "network_weights": network.state_dict(),
            "optimizer_state": {}, "grad_scaler_state": None, "logging": {}, "_best_ema": np.float64(0.0),
            "current_epoch": 0, "init_args": {"configuration": name, "fold": fold}, "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": tuple(range(len(plans["configurations"][name]["patch_size"]))),
        }  # fmt: skip
        torch.save(checkpoint, place / "checkpoint_final.pth")
    (folder / "dataset.json").write_text(json.dumps(dataset), encoding="utf-8")
    (folder / "plans.json").write_text(json.dumps(plans), encoding="utf-8")


def main() -> None:
    """Write the folder that the command line names."""
    folder, name, folds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    plans = plans_of(name)
    write_folder(folder, plans, name, random_networks(plans, name, folds))


if __name__ == "__main__":
    main()
