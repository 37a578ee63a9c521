"""Prediction beside nnU-Net 2.8.1: whole commands on the same files, in turn.

    python benchmarks/prediction.py --acdc ACDC/training --autolv-model FOLDER --out prediction.json
    python benchmarks/prediction.py --quick                        # one phantom, once each: does it run?

The script makes an environment for nnU-Net from the package registry (2 GB, once). Two comparisons:

The same network, windows and passes (the arithmetic itself): a model of nnU-Net's, imported by autolv, predicts the same
cases through both, one fold, no mirroring; autolv in float32, as nnU-Net computes on a CPU, and in bfloat16. nnU-Net gets one
process to preprocess and one to write, as more only add their own start on few cores. Beside the times: how far the
labels agree. Without ``--nnunet-model`` it has the network that nnU-Net plans for ACDC, with random weights: how long
that takes does not depend on them, the agreement does (between random labels everything is a border).

Each tool's default on its own plan: ``autolv_predict`` with ``--autolv-model``, nnU-Net with all its folds and mirrorings and
as many processes as it likes, on ``--default-cases`` of the cases. Without ``--autolv-model`` this part is left out.

Wall and CPU seconds and peak memory are those of the whole process tree, medians of the rounds; a ratio is the median of the
rounds' ratios (nnU-Net / autolv: above 1 autolv is ahead). Linux only.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from beside_nnunet.data import raw_dataset
from beside_nnunet.environment import NNUNET, peer_python
from beside_nnunet.protocol import measured
from beside_nnunet.report import ratios, table

from autolv.core.errors import AutolvError
from autolv.imageio.volumes import read_labels
from autolv.inference.model_folder import read_model, write_model
from autolv.pipeline.import_nnunet import import_nnunet
from autolv.runtime.cores import granted_cores, total_memory_gb
from autolv.runtime.device import device_name
from autolv.schema.record import write_text

ROOT = Path(__file__).resolve().parents[1]
_FIGURES = {"wall_s": "wall [s]", "cpu_s": "CPU [s]", "peak_mib": "peak memory, all processes [MiB]"}
_PHANTOMS = 6  # patients, of two frames each
_FOLDS = 5

Measured = dict[str, float]
Commands = Mapping[str, tuple[Sequence[str], Mapping[str, str]]]


def main() -> None:
    """Run what the command line asks for."""
    args = _arguments()
    try:
        result = _compare(args)
    except AutolvError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_status) from error
    if args.out:
        write_text(args.out, json.dumps(result, indent=1) + "\n")
        print(f"\nall of it: {args.out}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--acdc", type=Path, metavar="FOLDER", help="ACDC's training patients (default: phantoms)")
    parser.add_argument(
        "--nnunet-model", type=Path, metavar="FOLDER", help="TRAINER__PLANS__CONFIGURATION (default: random)"
    )
    parser.add_argument("--configuration", choices=("2d", "3d_fullres"), default="2d", help="of random weights")
    parser.add_argument("--autolv-model", type=Path, metavar="FOLDER", help="for the comparison of defaults")
    parser.add_argument("--cases", type=int, default=10, help="(default: 10)")
    parser.add_argument(
        "--default-cases", type=int, metavar="N", help="for the comparison of defaults (default: --cases)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")
    cache = Path.home() / ".cache" / "autolv"
    parser.add_argument("--peer-env", type=Path, default=cache / NNUNET.replace("==", "-"), metavar="FOLDER",
                        help="nnU-Net's environment, made where it is missing (default: %(default)s)")  # fmt: skip
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "autolv-benchmark", metavar="FOLDER",
                        help="keeps converted cases for the next time (default: %(default)s)")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE", help="write every number as JSON")
    parser.add_argument("--quick", action="store_true", help="one case, one round")
    args = parser.parse_args()
    if args.quick:
        args.cases, args.rounds, args.default_cases = 1, 1, 1
    args.default_cases = args.default_cases or args.cases
    if args.rounds < 1 or not 1 <= args.default_cases <= args.cases:
        parser.error("--rounds, --cases and --default-cases are at least 1, and --default-cases at most --cases")
    return args


def _compare(args: argparse.Namespace) -> dict[str, Any]:
    machine = _machine()
    print(f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, {machine['date']}, "
          f"load {machine['load_before']:.2f}", flush=True)  # fmt: skip
    python = peer_python(args.peer_env.expanduser().resolve(), ROOT / "constraints.txt")
    work = args.work.expanduser().resolve()
    place = work / "prediction"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    images = _images(work, place / "images", args.acdc, args.cases)
    theirs = _nnunet_model(place, python, args)
    ours = _imported(place, theirs)
    same: Commands = {
        **{f"autolv {kind}": _autolv(place, images, f"autolv_{kind}", folder, "-f", "0", "--mirror", "off")
           for kind, folder in ours.items()},
        "nnU-Net": _nnunet(place, python, images, "nnunet", theirs, "-f", "0", "--disable_tta", "-npp", "1", "-nps", "1"),
    }  # fmt: skip
    result: dict[str, Any] = {
        "machine": machine,
        "options": {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()},
        "same_network": _rounds(same, place, args.rounds),
    }
    print(f"\nthe same network, windows and passes, {args.cases} cases (fold 0, no mirroring)\n\n"
          f"{table(_rows(result['same_network'], args.cases))}")  # fmt: skip
    result["agreement"] = {
        kind: _agreement(place / "out" / f"autolv_{kind}", place / "out" / "nnunet") for kind in ours
    }
    for kind, found in result["agreement"].items():
        dice = ", ".join(f"{name} {value:.5f}" for name, value in found["dice"].items())
        print(f"autolv {kind} and nnU-Net: Dice between both {dice}; {found['voxels']:.4%} of voxels alike")
    if args.autolv_model is not None:
        few = _first(images, place / "few_images", args.default_cases)
        defaults: Commands = {
            "autolv": _autolv(place, few, "autolv_default", args.autolv_model.expanduser().resolve()),
            "nnU-Net": _nnunet(place, python, few, "nnunet_default", theirs, "-f", *_folds(theirs)),
        }
        result["defaults"] = _rounds(defaults, place, args.rounds)
        print(f"\neach tool's default on its own plan, {args.default_cases} cases\n\n"
              f"{table(_rows(result['defaults'], args.default_cases))}")  # fmt: skip
    return result


def _machine() -> dict[str, Any]:
    """Return what there is to know of the machine, before it is put to work."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processor": device_name(torch.device("cpu")),
        "cores": granted_cores(),
        "memory_gib": round(total_memory_gb(), 1),
        "system": platform.platform(),
        "load_before": os.getloadavg()[0],
    }


def _images(work: Path, folder: Path, acdc: Path | None, count: int) -> Path:
    """Return a folder with ``count`` images under nnU-Net's names, of patients as far apart in the list as they can be."""
    raw, dataset = raw_dataset(work, acdc, None if acdc else max(_PHANTOMS, (count + 1) // 2))
    cases = dataset.training
    folder.mkdir()
    for number in np.linspace(0, len(cases) - 1, count).round().astype(int):
        source = raw / cases[number].image
        shutil.copyfile(source, folder / source.name)
    return folder


def _first(images: Path, folder: Path, count: int) -> Path:
    folder.mkdir()
    for file in sorted(images.iterdir())[:count]:
        shutil.copyfile(file, folder / file.name)
    return folder


def _nnunet_model(place: Path, python: Path, args: argparse.Namespace) -> Path:
    """Return the folder of the model that is given, or of one with random weights that is made."""
    if args.nnunet_model is not None:
        given: Path = args.nnunet_model.expanduser().resolve()
        return given
    folder = place / f"nnUNetTrainer__nnUNetPlans__{args.configuration}"
    command = (str(python), "-m", "beside_nnunet.nnunet_model", str(folder), args.configuration, str(_FOLDS))
    subprocess.run(command, check=True, env=_peer_environment(place), stdout=subprocess.DEVNULL)
    return folder


def _imported(place: Path, theirs: Path) -> dict[str, Path]:
    """Return the model folders of autolv by the precision in which they compute."""
    folder = import_nnunet(theirs, "Imported", root=place)
    best = read_model(folder)
    rough = place / "bfloat16"
    write_model(
        rough, best.model_copy(update={"precision": "bfloat16"}), [folder / member.weights for member in best.members]
    )
    return {"float32": folder, "bfloat16": rough}


def _folds(theirs: Path) -> list[str]:
    return sorted(p.name.removeprefix("fold_") for p in theirs.glob("fold_[0-9]*"))


def _autolv(place: Path, images: Path, name: str, model: Path, *flags: str) -> tuple[Sequence[str], Mapping[str, str]]:
    code = "from autolv.cli.predict import main; raise SystemExit(main())"
    out = str(place / "out" / name)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    flags = ("--device", "cpu", "--overwrite", *flags)
    return (sys.executable, "-c", code, "-i", str(images), "-o", out, "--model", str(model), *flags), environment


def _nnunet(
    place: Path, python: Path, images: Path, name: str, model: Path, *flags: str
) -> tuple[Sequence[str], Mapping[str, str]]:
    command = str(python.with_name("nnUNetv2_predict_from_modelfolder"))
    out = str(place / "out" / name)
    return (command, "-i", str(images), "-o", out, "-m", str(model), "-device", "cpu", *flags), _peer_environment(place)


def _peer_environment(place: Path) -> dict[str, str]:
    names = {f"nnUNet_{kind}": str(place) for kind in ("raw", "preprocessed", "results")}
    return {**os.environ, "PYTHONPATH": str(ROOT / "benchmarks"), **names}


def _rounds(commands: Commands, place: Path, rounds: int) -> dict[str, list[Measured]]:
    """Return what each command took in each round; every other round goes through them backwards."""
    found: dict[str, list[Measured]] = {name: [] for name in commands}
    for number in range(rounds):
        for name in list(commands)[:: -1 if number % 2 else 1]:
            command, environment = commands[name]
            found[name].append(measured(command, environment, place / f"{name.replace(' ', '_')}.log"))
            print(f"round {number + 1} of {rounds}: {name} {found[name][-1]['wall_s']:.1f} s", flush=True)
    return found


def _rows(found: Mapping[str, Sequence[Measured]], cases: int) -> list[tuple[str, ...]]:
    """Return a table: a row per figure, a column per command, and the ratios to nnU-Net."""
    ours = [name for name in found if name != "nnU-Net"]
    rows: list[tuple[str, ...]] = [("", *found, *(f"nnU-Net / {name}" for name in ours))]
    for figure, title in _FIGURES.items():
        values = {name: [one[figure] for one in rounds] for name, rounds in found.items()}
        medians = (f"{statistics.median(one):.1f}" for one in values.values())
        rows.append((title, *medians, *(str(ratios(values["nnU-Net"], values[name])) for name in ours)))
    seconds = (statistics.median(one["wall_s"] for one in rounds) / cases for rounds in found.values())
    rows.append(("wall per case [s]", *(f"{one:.2f}" for one in seconds), *("" for _ in ours)))
    return rows


def _agreement(ours: Path, theirs: Path) -> dict[str, Any]:
    """Return how far the labels of two folders agree: Dice per code over all cases, and the share of voxels alike."""
    both, sizes, alike, voxels = np.zeros(256), np.zeros(256), 0, 0
    for file in sorted(theirs.glob("*.nii.gz")):
        one, other = read_labels(file).array, read_labels(_same_case(ours, file.name)).array
        both += np.bincount(one[one == other], minlength=256)
        sizes += np.bincount(one.ravel(), minlength=256) + np.bincount(other.ravel(), minlength=256)
        alike, voxels = alike + int((one == other).sum()), voxels + one.size
    codes = [code for code in range(1, 256) if sizes[code]]
    return {"dice": {str(code): float(2 * both[code] / sizes[code]) for code in codes}, "voxels": alike / voxels}


def _same_case(folder: Path, name: str) -> Path:
    """Return autolv's file of the case that nnU-Net calls ``name``: the channel's number may still stand in its name."""
    stem = name.removesuffix(".nii.gz")
    return next(p for p in (folder / name, folder / f"{stem}_0000.nii.gz") if p.exists())


if __name__ == "__main__":
    main()
