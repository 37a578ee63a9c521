"""Run in nnU-Net's own environment: a small network of its, trained for some steps, and its predictions with it.

    python nnunet_itself.py RAW_DATASET FOLDER OUTPUT 2d|3d_fullres PlainConvUNet|ResidualEncoderUNet

The networks are nnU-Net's, as are preprocessing and prediction; the steps are a plain loop, for labels that look like hearts.
It predicts in two ways: into OUTPUT/mirrored with fold 0 and mirroring, into OUTPUT/folds with all folds and without.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from beside_nnunet.nnunet_model import plans_of, random_networks, write_folder
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

STEPS, BATCH, FOLDS = 100, 8, 2
CASES = {"2d": 4, "3d_fullres": 2}  # that are predicted: the first of them


def smaller(name: str, kind: str) -> dict[str, object]:
    """ACDC's plans with few channels and a patch that is smaller than the field."""
    plans = plans_of(name)
    one = plans["configurations"][name]
    flat = name == "2d"
    one["patch_size"] = [64, 96] if flat else [6, 64, 96]
    architecture = one["architecture"]
    arguments = architecture["arch_kwargs"]
    arguments |= {"n_stages": 4, "features_per_stage": [8, 16, 24, 24], "n_conv_per_stage_decoder": [2, 1, 2]}
    arguments["kernel_sizes"] = arguments["kernel_sizes"][:4]
    arguments["strides"] = [[1, 1], [2, 2], [2, 2], [2, 2]] if flat else [[1, 1, 1], [1, 2, 2], [1, 2, 2], [2, 2, 2]]
    counts = arguments.pop("n_conv_per_stage")[:4]
    arguments["n_conv_per_stage" if kind == "PlainConvUNet" else "n_blocks_per_stage"] = counts
    architecture["network_class_name"] = f"dynamic_network_architectures.architectures.unet.{kind}"
    return plans


def preprocessed(raw: Path, plans: dict[str, object], name: str, dataset: dict[str, object]) -> list[tuple]:
    manager = PlansManager(plans)
    cases = []
    for label in sorted((raw / "labelsTr").glob("*.nii.gz")):
        image = raw / "imagesTr" / label.name.replace(".nii.gz", "_0000.nii.gz")
        found = DefaultPreprocessor(verbose=False).run_case(
            [str(image)], str(label), manager, manager.get_configuration(name), dataset
        )
        cases.append((found[0][0], np.maximum(found[1][0], 0)))
    return cases


def train(network: torch.nn.Module, cases: list[tuple], patch: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    size = (1, *patch)[-3:]
    for _ in range(STEPS):
        images, labels = [], []
        for _ in range(BATCH if len(patch) == 2 else 2):
            image, label = cases[rng.integers(len(cases))]
            missing = [(0, max(0, side - n)) for side, n in zip(size, image.shape, strict=True)]
            image, label = np.pad(image, missing), np.pad(label, missing)
            places = np.argwhere(label == rng.integers(1, 4))  # about a voxel of each structure in turn
            about = places[rng.integers(len(places))]
            start = [
                int(np.clip(voxel - side // 2, 0, n - side))
                for voxel, side, n in zip(about, size, image.shape, strict=True)
            ]
            inside = tuple(slice(a, a + side) for a, side in zip(start, size, strict=True))
            images.append(image[inside])
            labels.append(label[inside])
        x, y = torch.tensor(np.stack(images)).float(), torch.tensor(np.stack(labels)).long()
        x, y = (x, y[:, 0]) if len(patch) == 2 else (x[:, None], y)
        loss = torch.nn.functional.cross_entropy(network(x), y, weight=torch.tensor([0.2, 1.0, 1.0, 1.0]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def main() -> None:
    raw, folder, output = (Path(text) for text in sys.argv[1:4])
    name, kind = sys.argv[4:6]
    torch.set_num_threads(1)
    plans = smaller(name, kind)
    dataset = json.loads((raw / "dataset.json").read_text(encoding="utf-8"))
    cases = preprocessed(raw, plans, name, dataset)
    networks = random_networks(plans, name, FOLDS)
    for seed, network in enumerate(networks):
        train(network, cases, plans["configurations"][name]["patch_size"], seed)
    write_folder(folder, plans, name, networks)
    images = sorted((raw / "imagesTr").glob("*.nii.gz"))[: CASES[name]]
    for way, folds, mirrored in (("mirrored", (0,), True), ("folds", tuple(range(FOLDS)), False)):
        predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False, use_mirroring=mirrored)
        predictor.initialize_from_trained_model_folder(str(folder), folds)
        (output / way).mkdir(parents=True)
        predictor.predict_from_files_sequential(
            [[str(image)] for image in images],
            [str(output / way / image.name.removesuffix("_0000.nii.gz")) for image in images],
        )


if __name__ == "__main__":
    main()
