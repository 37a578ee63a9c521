"""A planned U-Net in nnU-Net's words, and by how many parameters the two must differ."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from autolv.schema.plan import Configuration, Network

DATASET = "Dataset999_Benchmark"


def nnunet_configuration(network: Network) -> str:
    """Return the name of nnU-Net's configuration for networks of this dimension."""
    return "2d" if network.dimensions == 2 else "3d_fullres"


def nnunet_plans(configuration: Configuration) -> dict[str, Any]:
    """Return nnU-Net's plans (of version 2) with one configuration: the same network, patch and batch.

    What training does not read (the fingerprint's numbers, resampling) is left out; what does not follow from
    ``configuration`` is as nnU-Net's planner writes it: biases, a Dice over the batch in 2D only. Raises ``ValueError`` for
    an architecture other than the plain U-Net.
    """
    network = configuration.network
    if network.architecture != "unet" or network.in_channels != 1:
        raise ValueError(f"{configuration.name} is not a plain U-Net of one channel")
    name, dims = nnunet_configuration(network), network.dimensions
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": network.stages,
            "features_per_stage": list(network.features),
            "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
            "kernel_sizes": [list(kernel) for kernel in network.kernels],
            "strides": [list(stride) for stride in network.strides],
            "n_conv_per_stage": list(network.blocks),
            "n_conv_per_stage_decoder": list(network.decoder_blocks),
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    in_plane = list(configuration.preprocessing.in_plane_spacing_mm)
    return {
        "dataset_name": DATASET,
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "label_manager": "LabelManager",
        "continue_training": False,
        "configurations": {
            name: {
                "data_identifier": f"nnUNetPlans_{name}_{configuration.preprocessing.content_hash()}",
                "preprocessor_name": "DefaultPreprocessor",
                "batch_size": configuration.training.batch_size,
                "patch_size": list(network.patch),
                "spacing": in_plane if dims == 2 else [configuration.preprocessing.slice_spacing_mm, *in_plane],
                "normalization_schemes": ["ZScoreNormalization"],
                "use_mask_for_norm": [False],
                "batch_dice": dims == 2,
                "architecture": architecture,
            }
        },
    }


@dataclass(frozen=True, slots=True)
class Surplus:
    """The parameters that nnU-Net's network has and autolv's has not."""

    biases: int
    heads: int


def surplus(network: Network) -> Surplus:
    """Return by what nnU-Net's network is larger: biases ahead of normalisations, heads at all decoder stages.

    The biases change nothing (a normalisation takes them away again); the coarsest head has a weight of 0 in the loss.
    """
    stages = (*zip(network.blocks, network.features, strict=True),
              *zip(network.decoder_blocks, network.features, strict=False))  # fmt: skip
    return Surplus(
        biases=sum(math.prod(stage) for stage in stages),
        heads=sum((width + 1) * network.classes for width in network.features[network.heads : network.stages - 1]),
    )
