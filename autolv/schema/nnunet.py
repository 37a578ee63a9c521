"""What autolv reads of the ``plans.json`` and ``dataset.json`` of a model that nnU-Net v2 has trained.

Names are nnU-Net's. What is not read is ignored, but for what a network is built from: there an unknown key is an error.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict

from autolv.schema.plan import Ints
from autolv.schema.record import Record

Resampler = Literal["resample_data_or_seg_to_shape"]


class _Read(Record):
    model_config = ConfigDict(extra="ignore")


class NnunetNorm(Record):
    """Instance normalisation with learnt scale and shift."""

    eps: float
    affine: Literal[True]


class NnunetNonlin(Record):
    """A leaky ReLU; torch's default slope is 0.01."""

    inplace: bool = True
    negative_slope: float = 0.01


class NnunetNetwork(Record):
    """The arguments of a ``PlainConvUNet`` or ``ResidualEncoderUNet`` (dynamic-network-architectures 0.4).

    ``n_conv_per_stage`` is the one's, ``n_blocks_per_stage`` the other's. The decoder's stages count from the coarsest.
    """

    n_stages: int
    features_per_stage: Ints
    conv_op: Literal["torch.nn.modules.conv.Conv2d", "torch.nn.modules.conv.Conv3d"]
    kernel_sizes: tuple[Ints, ...]
    strides: tuple[Ints, ...]
    n_conv_per_stage: Ints | int | None = None
    n_blocks_per_stage: Ints | int | None = None
    n_conv_per_stage_decoder: Ints | int
    conv_bias: Literal[True]
    norm_op: Literal["torch.nn.modules.instancenorm.InstanceNorm2d", "torch.nn.modules.instancenorm.InstanceNorm3d"]
    norm_op_kwargs: NnunetNorm
    dropout_op: None = None
    dropout_op_kwargs: dict[str, Any] | None = None
    nonlin: Literal["torch.nn.LeakyReLU"]
    nonlin_kwargs: NnunetNonlin
    nonlin_first: Literal[False] = False


class NnunetArchitecture(_Read):
    """Which network, and what it is built from."""

    network_class_name: str
    arch_kwargs: dict[str, Any]


class NnunetOldNetwork(_Read):
    """The same as plans before nnU-Net 2.4 have it: within the configuration."""

    UNet_class_name: str
    UNet_base_num_features: int
    unet_max_num_features: int
    n_conv_per_stage_encoder: Ints
    n_conv_per_stage_decoder: Ints
    conv_kernel_sizes: tuple[Ints, ...]
    pool_op_kernel_sizes: tuple[Ints, ...]


class NnunetResampling(Record):
    """How images or logits are resampled; ``force_separate_z`` ``None``: thick slices apart from the other axes."""

    is_seg: Literal[False]
    order: Literal[1, 3]
    order_z: Literal[0]
    force_separate_z: None


class NnunetConfiguration(_Read):
    """One configuration, what it inherits from others filled in. Before nnU-Net 2.4 there is no ``architecture``."""

    preprocessor_name: Literal["DefaultPreprocessor"]
    batch_size: int
    patch_size: Ints
    spacing: tuple[float, ...]
    normalization_schemes: tuple[str, ...]
    use_mask_for_norm: tuple[bool, ...]
    resampling_fn_data: Resampler
    resampling_fn_data_kwargs: NnunetResampling
    resampling_fn_probabilities: Resampler
    resampling_fn_probabilities_kwargs: NnunetResampling
    architecture: NnunetArchitecture | None = None
    previous_stage: str | None = None


class NnunetPlans(_Read):
    """``plans.json``; ``configurations`` are as they stand there, and may inherit from each other."""

    dataset_name: str
    plans_name: str
    image_reader_writer: str
    transpose_forward: tuple[int, int, int]
    configurations: dict[str, dict[str, Any]]


class NnunetDataset(_Read):
    """``dataset.json``: a label that is a list of codes is a region."""

    labels: dict[str, int | tuple[int, ...]]
    channel_names: dict[str, str] = {}
    modality: dict[str, str] = {}
