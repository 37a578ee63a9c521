"""Small networks and a whole model folder of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from autolv.inference.model_folder import describe_member, write_model
from autolv.networks import build_network
from autolv.schema.plan import Configuration, Network, Preprocessing, Training
from autolv.schema.results import BestConfig, Step

STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")


def small_network(dimensions: int, patch: tuple[int, ...]) -> Network:
    flat = dimensions == 3
    return Network(
        architecture="unet",
        patch=patch,
        in_channels=1,
        classes=4,
        features=(4, 8),
        kernels=((1, 3, 3), (3, 3, 3)) if flat else ((3, 3), (3, 3)),
        strides=((1, 1, 1), (1, 2, 2)) if flat else ((1, 1), (2, 2)),
        blocks=(1, 1),
        decoder_blocks=(1,),
        heads=1,
    )


def small_configuration(
    name: str, dimensions: int = 2, *, spacing_mm: float = 1.5, patch: tuple[int, ...] = (16, 16), mirror: bool = False
) -> Configuration:
    return Configuration(
        name=name,
        preprocessing=Preprocessing(
            in_plane_spacing_mm=(spacing_mm, spacing_mm),
            slice_spacing_mm=None,
            normalisation="zscore",
            image_order=3,
            label_order=1,
            crop_to_nonzero=True,
        ),
        network=small_network(dimensions, patch),
        training=Training(
            batch_size=2,
            loss="dice_ce",
            deep_supervision_weights=(1.0,),
            optimiser="adamw",
            learning_rate=1e-3,
            weight_decay=0.0,
            momentum=0.9,
            warmup_fraction=0.0,
            schedule="cosine",
            gradient_clip=1.0,
            augmentation="none",
            mirror=mirror,
            heart_fraction=0.5,
            epochs=1,
            iterations_per_epoch=1,
            expected_memory_gb=0.1,
            expected_minutes=0.1,
        ),
        reasons={},
    )


@pytest.fixture
def configuration() -> Callable[..., Configuration]:
    return small_configuration


@pytest.fixture
def network_plan() -> Callable[[int, tuple[int, ...]], Network]:
    return small_network


@pytest.fixture
def stack() -> NDArray[np.float32]:
    """A bright disc in noise: (3, 22, 26)."""
    rng = np.random.default_rng(7)
    image = rng.normal(100, 20, (3, 22, 26)).astype(np.float32)
    y, x = np.ogrid[:22, :26]
    image[:, (y - 10) ** 2 + (x - 14) ** 2 < 36] += 150
    return image


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a model folder: its configurations and how many folds each has."""

    def make(
        configurations: tuple[Configuration, ...] = (small_configuration("2d_unet"),),
        folds: int = 1,
        *,
        postprocessing: tuple[Step, ...] = (),
        name: str = "model",
    ) -> Path:
        members, files = [], []
        for number, one in enumerate(configurations):
            for fold in range(folds):
                with torch.random.fork_rng():
                    torch.manual_seed(100 * number + fold)
                    weights = build_network(one.network).state_dict()
                file = tmp_path / f"{one.name}_{fold}.safetensors"
                save_file({key: value.contiguous() for key, value in weights.items()}, file)
                members.append(describe_member(one.name, fold, file))
                files.append(file)
        best = BestConfig(
            dataset="Phantom",
            run="default",
            labels={"lv_cavity": 3, "lv_myocardium": 2, "rv_cavity": 1},
            structures=STRUCTURES,
            configurations={one.name: one for one in configurations},
            members=tuple(members),
            postprocessing=postprocessing,
            candidates=(),
            chosen=configurations[0].name,
            reason="a test",
            score=0.9,
            score_with_postprocessing=0.9,
            cross_fitted_score=0.9,
            folds_available="",
            fingerprint_hash="0",
            licence_note="",
            versions={},
        )
        folder = tmp_path / name
        write_model(folder, best, files)
        return folder

    return make
