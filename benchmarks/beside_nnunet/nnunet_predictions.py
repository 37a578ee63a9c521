"""Writes given probabilities as nnU-Net's validation with ``--npz`` leaves them. Runs in nnU-Net's environment."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
from batchgenerators.utilities.file_and_folder_operations import save_pickle
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.utilities.file_path_utilities import get_output_folder


def main() -> None:
    """Write the cases of all tasks in the file that the command line names, for the dataset that it names."""
    tasks, dataset = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), sys.argv[2]
    files = SimpleITKIO()
    preprocessed = Path(nnUNet_preprocessed) / dataset
    for task in tasks:
        model = Path(get_output_folder(dataset, configuration=task["configuration"]))
        validation = model / f"fold_{task['fold']}" / "validation"
        validation.mkdir(parents=True, exist_ok=True)
        for folder in (model, validation):
            shutil.copy(preprocessed / "nnUNetPlans.json", folder / "plans.json")
            shutil.copy(preprocessed / "dataset.json", folder / "dataset.json")
        for case in task["cases"]:
            target = validation / case["name"]
            if target.with_suffix(".pkl").exists():  # written last
                continue
            with np.load(case["file"]) as stored:
                probabilities = stored["probabilities"]  # (classes, k, j, i)
            _, properties = files.read_seg(case["like"])
            shape = probabilities.shape[1:]
            properties |= {
                "shape_before_cropping": shape,
                "shape_after_cropping_and_before_resampling": shape,
                "bbox_used_for_cropping": [[0, size] for size in shape],
            }
            files.write_seg(probabilities.argmax(axis=0).astype(np.uint8), f"{target}.nii.gz", properties)
            np.savez_compressed(f"{target}.npz", probabilities=probabilities)
            save_pickle(properties, f"{target}.pkl")
    references = preprocessed / "gt_segmentations"  # as its preprocessing leaves them
    references.mkdir(exist_ok=True)
    for file in (Path(nnUNet_raw) / dataset / "labelsTr").iterdir():
        shutil.copy(file, references / file.name)


if __name__ == "__main__":
    main()
