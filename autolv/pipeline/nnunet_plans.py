"""A configuration of nnU-Net's plans as one of ours, or the reason why autolv cannot predict as it does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autolv.core.errors import DataError, ModelError, SchemaError
from autolv.core.labels import LabelSchema
from autolv.schema.nnunet import (
    NnunetConfiguration,
    NnunetDataset,
    NnunetNetwork,
    NnunetOldNetwork,
    NnunetPlans,
)
from autolv.schema.plan import Configuration, Ints, Network, NnunetConventions, Preprocessing, Training
from autolv.schema.record import R, from_json, read_record

_UNETS = {"PlainConvUNet": "unet", "ResidualEncoderUNet": "resenc_unet"}
_READERS = ("SimpleITKIO", "NibabelIO")  # those that leave a file's axes as they are stored
_EPSILON, _SLOPE = 1e-5, 0.01  # of instance normalisation and the leaky ReLU, as our networks have them
_OWN = "Predict with nnU-Net itself, or train this dataset with autolv."
_FOLDER = "Name the folder TRAINER__PLANS__CONFIGURATION that nnUNetv2_train has written."
_EXAMPLE = ("rv_cavity", "lv_myocardium", "lv_cavity")  # in ACDC's order
_IGNORE = "ignore"  # nnU-Net's name for voxels that teach nothing: no output stands for them


def read_plans(folder: Path) -> NnunetPlans:
    """Return the plans of a trained model's folder; raises ``ModelError``."""
    return _read(NnunetPlans, folder / "plans.json")


def read_labels(folder: Path, given: Mapping[str, int] | None) -> LabelSchema:
    """Return which structures a model's labels are: those of its ``dataset.json``, or as ``given``.

    Raises ``ModelError`` for regions, several channels, labels that are no structures of ours, or codes that leave a gap.
    """
    dataset = _read(NnunetDataset, folder / "dataset.json")
    channels = dataset.channel_names or dataset.modality
    if len(channels) != 1:
        raise ModelError(f"{folder} takes {len(channels)} channels, autolv takes one.", remedy=_OWN)
    codes: dict[str, int] = {}
    for name, code in dataset.labels.items():
        if not isinstance(code, int):
            raise ModelError(f"the label {name!r} of {folder} is a region of codes {code}.", remedy=_OWN)
        if code != 0 and name != _IGNORE:
            codes[name] = code
    if sorted(codes.values()) != list(range(1, len(codes) + 1)):
        raise ModelError(f"the label codes of {folder} leave a gap: {codes}.", remedy=_FOLDER)
    if given is not None and sorted(given.values()) != sorted(codes.values()):
        raise ModelError(
            f"--labels names the codes {sorted(given.values())}, the labels of {folder} are {codes}.",
            remedy="Name the structure of each of these codes.",
        )
    try:
        return LabelSchema.from_names(codes if given is None else given)
    except DataError as error:
        example = ",".join(f"{name}={code}" for name, code in zip(_EXAMPLE, codes.values(), strict=False))
        raise ModelError(
            f"{folder}: {error.message}", remedy=f"Say what each code means, for example --labels {example}."
        ) from error


def our_configuration(
    plans: NnunetPlans, folder: Path, name: str, *, classes: int, mirror_axes: Ints, trainer: str
) -> Configuration:
    """Return the configuration ``name`` of nnU-Net's ``plans`` in our words.

    ``mirror_axes`` are nnU-Net's, counted from 0. Raises ``ModelError``, naming what it is, for anything that autolv does
    not do: a cascade, another architecture, reader, normalisation or resampling.
    """
    found = _configuration(plans, folder, name)
    network = _network(found, plans, folder, name, classes)
    axes = tuple(sorted(axis - network.dimensions for axis in mirror_axes))
    flat = network.dimensions == 2
    return Configuration(
        name=f"{'2d' if flat else '3d'}_{network.architecture}_nnunet",
        preprocessing=Preprocessing(
            in_plane_spacing_mm=(found.spacing[-2], found.spacing[-1]),
            slice_spacing_mm=None if flat else found.spacing[0],
            normalisation="zscore",
            image_order=found.resampling_fn_data_kwargs.order,
            label_order=1,
            crop_to_nonzero=True,
        ),
        network=network,
        training=_training(found.batch_size, mirror=bool(axes)),
        reasons={"network": f"the configuration {name} of nnU-Net's {plans.plans_name}, trained by {trainer}"},
        nnunet=NnunetConventions(
            transpose=plans.transpose_forward, nonzero_only=found.use_mask_for_norm[0], mirror_axes=axes
        ),
    )


def _configuration(plans: NnunetPlans, folder: Path, name: str) -> NnunetConfiguration:
    """Return a configuration with what it inherits; raises ``ModelError`` for what autolv does not do."""
    where = f"{folder / 'plans.json'}: configurations: {name}"
    raw = _inherited(plans, name, where)
    if "lowres" in name or "cascade" in name or raw.get("previous_stage"):
        raise ModelError(f"{name} is a part of nnU-Net's cascade, which autolv does not have.", remedy=_OWN)
    found = _parsed(NnunetConfiguration, raw, where)
    if plans.image_reader_writer not in _READERS:
        raise ModelError(
            f"{folder} reads its images with {plans.image_reader_writer}, autolv knows {' and '.join(_READERS)}.",
            remedy=_OWN,
        )
    if found.normalization_schemes != ("ZScoreNormalization",):
        raise ModelError(
            f"{name} normalises by {', '.join(found.normalization_schemes)}, autolv by ZScoreNormalization alone.",
            remedy=_OWN,
        )
    if found.resampling_fn_probabilities_kwargs.order != 1:
        raise ModelError(f"{name} resamples its logits by cubic splines, autolv linearly.", remedy=_OWN)
    return found


def _inherited(plans: NnunetPlans, name: str, where: str) -> dict[str, Any]:
    raw: dict[str, Any] = {}
    seen: list[str] = []
    parent: str | None = name
    while parent is not None:
        if parent in seen or parent not in plans.configurations:
            raise ModelError(f"{where} is not there, or inherits from itself ({parent}).", remedy=_FOLDER)
        seen.append(parent)
        raw = {**plans.configurations[parent], **raw}
        parent = plans.configurations[parent].get("inherits_from")
    return raw


def _network(found: NnunetConfiguration, plans: NnunetPlans, folder: Path, name: str, classes: int) -> Network:
    where = f"{folder / 'plans.json'}: configurations: {name}: architecture"
    if found.architecture is None:
        old = _parsed(NnunetOldNetwork, _inherited(plans, name, where), where)
        kind, arguments = old.UNet_class_name, _newer(old, len(found.patch_size))
    else:
        kind, arguments = found.architecture.network_class_name.rpartition(".")[2], found.architecture.arch_kwargs
    if kind not in _UNETS:
        raise ModelError(
            f"{name} of {folder} is a {kind}, autolv knows {' and '.join(_UNETS)} of nnU-Net's.", remedy=_OWN
        )
    network = _parsed(NnunetNetwork, arguments, where)
    blocks = network.n_conv_per_stage if _UNETS[kind] == "unet" else network.n_blocks_per_stage
    if blocks is None or (network.norm_op_kwargs.eps, network.nonlin_kwargs.negative_slope) != (_EPSILON, _SLOPE):
        raise ModelError(f"{where}: not as nnU-Net's planner writes a {kind}.", remedy=_OWN)
    decoder = _per_stage(network.n_conv_per_stage_decoder, network.n_stages - 1)
    return _parsed(
        Network,
        {
            "architecture": _UNETS[kind],
            "patch": found.patch_size,
            "in_channels": 1,
            "classes": classes,
            "features": network.features_per_stage,
            "kernels": network.kernel_sizes,
            "strides": network.strides,
            "blocks": _per_stage(blocks, network.n_stages),
            "decoder_blocks": decoder[::-1],  # ours count from the finest
            "heads": 1,  # the others serve training alone
        },
        where,
    )


def _per_stage(count: Ints | int, stages: int) -> Ints:
    return (count,) * stages if isinstance(count, int) else count


def _newer(old: NnunetOldNetwork, dims: int) -> dict[str, Any]:
    """Return the network's arguments from those of plans before nnU-Net 2.4, as later versions rebuild them."""
    stages = len(old.n_conv_per_stage_encoder)
    blocks = "n_conv_per_stage" if old.UNet_class_name == "PlainConvUNet" else "n_blocks_per_stage"
    return {
        "n_stages": stages,
        "features_per_stage": [
            min(old.UNet_base_num_features * 2**s, old.unet_max_num_features) for s in range(stages)
        ],
        "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
        "kernel_sizes": old.conv_kernel_sizes,
        "strides": old.pool_op_kernel_sizes,
        blocks: old.n_conv_per_stage_encoder,
        "n_conv_per_stage_decoder": old.n_conv_per_stage_decoder,
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
        "norm_op_kwargs": {"eps": _EPSILON, "affine": True},
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }


def _training(batch_size: int, *, mirror: bool) -> Training:
    """Return how nnU-Net trains by default (2.8.1), as far as our record has words for it; prediction reads ``mirror``."""
    return Training(
        batch_size=batch_size, loss="dice_ce", deep_supervision_weights=(1.0,), optimiser="sgd", learning_rate=0.01,
        weight_decay=3e-5, momentum=0.99, warmup_fraction=0.0, schedule="poly", gradient_clip=12.0,
        augmentation="nnunet", mirror=mirror, heart_fraction=1 / 3, epochs=1000, iterations_per_epoch=250,
        expected_memory_gb=0.0, expected_minutes=0.0,
    )  # fmt: skip


def _read(kind: type[R], path: Path) -> R:
    if not path.is_file():
        raise ModelError(
            f"{path.parent} is not a folder of a model trained by nnU-Net 2: it has no {path.name}.", remedy=_FOLDER
        )
    try:
        return read_record(kind, path)
    except SchemaError as error:
        raise ModelError(error.message, remedy=_FOLDER) from error


def _parsed(kind: type[R], raw: Mapping[str, Any], where: str) -> R:
    try:
        return from_json(kind, json.dumps(raw), where=where)
    except SchemaError as error:
        raise ModelError(error.message, remedy=_OWN) from error
