"""A model folder as nnU-Net 2.8.1 writes it, with networks assembled here from torch's layers under nnU-Net's names."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

CONV, NORM = {2: nn.Conv2d, 3: nn.Conv3d}, {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
UP, POOL = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}, {2: nn.AvgPool2d, 3: nn.AvgPool3d}
FEATURES = (6, 12, 12)  # the last stage has no projection in its skip
KERNELS = {2: ((3, 3), (3, 3), (3, 3)), 3: ((1, 3, 3), (3, 3, 3), (3, 3, 3))}
STRIDES = {2: ((1, 1), (2, 2), (2, 2)), 3: ((1, 1, 1), (1, 2, 2), (2, 2, 2))}
PATCH = {2: (16, 24), 3: (4, 16, 24)}
CODES = {"background": 0, "RV": 1, "MLV": 2, "LVC": 3}


class Unit(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, ...], stride: Any, *, bias=True, rectify=True):
        super().__init__()
        dims = len(kernel)
        self.conv = CONV[dims](inputs, outputs, kernel, stride, [(k - 1) // 2 for k in kernel], bias=bias)
        self.norm = NORM[dims](outputs, eps=1e-5, affine=True)
        layers = [self.conv, self.norm] + [nn.LeakyReLU()] * rectify
        self.all_modules = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.all_modules(x)


class Units(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, ...], stride: Any, count: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            *(Unit(outputs if i else inputs, outputs, kernel, 1 if i else stride) for i in range(count))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.convs(x)


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, ...], stride: tuple[int, ...]) -> None:
        super().__init__()
        dims = len(kernel)
        self.conv1 = Unit(inputs, outputs, kernel, stride)
        self.conv2 = Unit(outputs, outputs, kernel, 1, rectify=False)
        past = [POOL[dims](stride, stride)] if max(stride) > 1 else []
        if inputs != outputs:
            past.append(Unit(inputs, outputs, (1,) * dims, 1, bias=False, rectify=False))
        self.skip = nn.Sequential(*past)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.leaky_relu(self.conv2(self.conv1(x)) + self.skip(x))


class Blocks(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, ...], stride: tuple[int, ...], count: int) -> None:
        super().__init__()
        ones = (1,) * len(kernel)
        self.blocks = nn.Sequential(
            *(Block(outputs if i else inputs, outputs, kernel, ones if i else stride) for i in range(count))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)


class Reference(nn.Module):
    """nnU-Net's network: blocks per stage 1, 2, 2 down; 2 and 1 convolutions per stage up, the coarser first."""

    counts, ups = (1, 2, 2), (2, 1)

    def __init__(self, dims: int, *, residual: bool, classes: int = 4) -> None:
        super().__init__()
        kernels, strides = KERNELS[dims], STRIDES[dims]
        self.encoder = nn.Module()
        inputs: tuple[int, ...] = (1, *FEATURES[:-1])
        if residual:
            self.encoder.stem = Units(1, FEATURES[0], kernels[0], 1, 1)
            inputs = (FEATURES[0], *FEATURES[:-1])
            stages = [Blocks(*sizes) for sizes in zip(inputs, FEATURES, kernels, strides, self.counts, strict=True)]
        else:
            stages = [
                nn.Sequential(Units(*sizes))
                for sizes in zip(inputs, FEATURES, kernels, strides, self.counts, strict=True)
            ]
        self.encoder.stages = nn.Sequential(*stages)
        self.decoder = nn.Module()
        self.decoder.encoder = self.encoder
        self.decoder.transpconvs = nn.ModuleList(
            UP[dims](FEATURES[s + 1], FEATURES[s], strides[s + 1], strides[s + 1]) for s in (1, 0)
        )
        self.decoder.stages = nn.ModuleList(
            Units(2 * FEATURES[s], FEATURES[s], kernels[s], 1, count) for s, count in zip((1, 0), self.ups, strict=True)
        )
        self.decoder.seg_layers = nn.ModuleList(CONV[dims](FEATURES[s], classes, 1) for s in (1, 0))
        for parameter in self.parameters():  # nothing at its usual start of ones and zeros, lest it be left out unseen
            parameter.data += 0.1 * torch.randn(parameter.shape)
        for head in self.decoder.seg_layers:  # no class leads everywhere
            head.weight.data -= head.weight.data.mean(1, keepdim=True)
            head.bias.data *= 0.01

    def forward(self, x: Tensor) -> Tensor:
        x = self.encoder.stem(x) if hasattr(self.encoder, "stem") else x
        skips = []
        for stage in self.encoder.stages:
            x = stage(x)
            skips.append(x)
        for up, stage, skip in zip(self.decoder.transpconvs, self.decoder.stages, skips[-2::-1], strict=True):
            x = stage(torch.cat((up(x), skip), 1))
        return self.decoder.seg_layers[-1](x)


def plans_of(dims: int, *, residual: bool) -> dict[str, Any]:
    """``plans.json`` as nnU-Net 2.8.1 writes it (what no one reads left out)."""
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    per_stage = "n_blocks_per_stage" if residual else "n_conv_per_stage"
    unet = "ResidualEncoderUNet" if residual else "PlainConvUNet"
    configuration = {
        "data_identifier": "nnUNetPlans_x", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2,
        "patch_size": list(PATCH[dims]), "spacing": [1.5, 1.25] if dims == 2 else [8.0, 1.5, 1.25],
        "median_image_size_in_voxels": [30.0] * dims, "batch_dice": dims == 2,
        "normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape", "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
        "architecture": {
            "network_class_name": f"dynamic_network_architectures.architectures.unet.{unet}",
            "arch_kwargs": {
                "n_stages": 3, "features_per_stage": list(FEATURES), "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
                "kernel_sizes": KERNELS[dims], "strides": STRIDES[dims], per_stage: list(Reference.counts),
                "n_conv_per_stage_decoder": list(Reference.ups), "conv_bias": True,
                "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
                "norm_op_kwargs": {"eps": 1e-5, "affine": True}, "dropout_op": None, "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }  # fmt: skip
    name = "2d" if dims == 2 else "3d_fullres"
    return {
        "dataset_name": "Dataset027_ACDC", "plans_name": "nnUNetPlans", "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2], "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager", "foreground_intensity_properties_per_channel": {"0": {"mean": 99.5}},
        "configurations": {name: configuration},
    }  # fmt: skip


def checkpoint_of(network: nn.Module, configuration: str, axes: tuple[int, ...] | None) -> dict[str, Any]:
    """What ``nnUNetTrainer.save_checkpoint`` writes, with numbers of numpy among the log and the settings."""
    return {
        "network_weights": network.state_dict(),
        "optimizer_state": {"state": {}, "param_groups": [{"lr": np.float64(0.01), "params": [0]}]},
        "grad_scaler_state": None,
        "logging": {"ema_fg_dice": [np.float64(0.5)], "train_losses": [np.float32(-0.1)], "epochs": [np.int64(3)]},
        "_best_ema": np.float64(0.5), "current_epoch": 1000,
        "init_args": {"configuration": configuration, "fold": 0, "device": torch.device("cpu"), "plans": {"a": (1, 2)}},
        "trainer_name": "nnUNetTrainer", "inference_allowed_mirroring_axes": axes,
    }  # fmt: skip


@pytest.fixture
def make_reference() -> Callable[..., Reference]:
    def make(dims: int, *, residual: bool = False, seed: int = 0) -> Reference:
        torch.manual_seed(seed)
        return Reference(dims, residual=residual).eval()

    return make


@pytest.fixture
def make_trained(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a trained model's folder; ``change`` edits plans, dataset and checkpoint before."""

    def make(
        networks: list[nn.Module],
        dims: int,
        *,
        residual: bool = False,
        axes: tuple[int, ...] | None = None,
        change: Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], None] = lambda *_: None,
    ) -> Path:
        plans = plans_of(dims, residual=residual)
        dataset = {"channel_names": {"0": "cineMRI"}, "labels": dict(CODES), "numTraining": 2, "file_ending": ".nii.gz"}
        (name,) = plans["configurations"]
        folder = tmp_path / f"nnUNetTrainer__nnUNetPlans__{name}"
        for fold, network in enumerate(networks):
            checkpoint = checkpoint_of(network, name, axes)
            change(plans, dataset, checkpoint)
            (folder / f"fold_{fold}").mkdir(parents=True, exist_ok=True)
            torch.save(checkpoint, folder / f"fold_{fold}" / "checkpoint_final.pth")
        (folder / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
        (folder / "dataset.json").write_text(json.dumps(dataset), encoding="utf-8")
        return folder

    return make
