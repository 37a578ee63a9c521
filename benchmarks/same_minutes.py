"""nnU-Net 2.8.1 in the minutes that autolv takes for a fold: the Dice of the validation patients.

    autolv_train -d ACDC -c 2d_unet -f 0 --time-budget 12m
    python benchmarks/same_minutes.py -d ACDC --minutes 12 --batch 2 --out same_minutes.json

nnU-Net plans and preprocesses the dataset by itself (not counted, as with autolv) and trains the patients of the same fold by
its own 2D plan, on the CPU, with its own loss, optimiser, augmentation and workers. Its schedule of 1000 epochs of 250 steps is
shortened to 30 epochs that fill the minutes, by steps timed first; its batch, planned for a GPU, is what ``--batch`` says.
The validation cases are predicted by ``nnUNetv2_predict`` without mirroring (which takes a quarter of the time; with
``--mirror`` with it), and scored by ``autolv_evaluate``. Measure on a machine that does nothing else. Linux only.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from beside_nnunet.commands import peer_environment
from beside_nnunet.environment import NNUNET
from beside_nnunet.short import ROOT, conclude, link_for_peer, machine, peer_of

from autolv.core.errors import AutolvError
from autolv.core.workspace import Workspace
from autolv.datasets.raw import load_dataset
from autolv.pipeline.evaluate import evaluate
from autolv.schema.record import read_record
from autolv.schema.splits import Splits

_TOLD = 3000  # characters of a log that are told when a command has failed


def main() -> None:
    """Run what the command line asks for."""
    args = _arguments()
    try:
        found = _measure(args)
    except AutolvError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_status) from error
    conclude(args, found)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", "--dataset", required=True, help="a dataset that autolv has planned")
    parser.add_argument("--root", type=Path, default=Path(), metavar="DIR", help="its workspace (default: here)")
    parser.add_argument("-f", "--fold", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=12.0, help="of training (default: 12)")
    parser.add_argument("--batch", type=int, default=2, help="slices (default: 2, the least that it accepts)")
    parser.add_argument("--mirror", action="store_true", help="predict with mirroring, as it does by default")
    cache = Path.home() / ".cache" / "autolv"
    parser.add_argument("--peer-env", type=Path, default=cache / NNUNET.replace("==", "-"), metavar="FOLDER",
                        help="nnU-Net's environment, made where it is missing (default: %(default)s)")  # fmt: skip
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "autolv-same-minutes", metavar="FOLDER",
                        help="nnU-Net's three data folders (default: %(default)s)")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE", help="write every number as JSON")
    args = parser.parse_args()
    if args.minutes <= 0 or args.batch < 2:
        parser.error("--minutes is positive, --batch at least 2")
    return args


def _measure(args: argparse.Namespace) -> dict[str, Any]:
    workspace, work = Workspace.at(args.root), args.work.expanduser().resolve()
    raw = workspace.raw(args.dataset)
    dataset = load_dataset(raw)
    split = read_record(Splits, workspace.splits_file(args.dataset)).folds[args.fold]
    sides = {
        side: [case for case in dataset.training if case.patient in set(patients)]
        for side, patients in (("train", split.train), ("val", split.validation))
    }
    found: dict[str, Any] = {"machine": machine()}
    name, python = link_for_peer(work, raw), peer_of(args)
    number = name[len("Dataset") :].partition("_")[0]
    environment = peer_environment(python, work / "nnunet", ROOT / "benchmarks")
    log = work / "log.txt"
    if not (work / "nnunet" / "preprocessed" / name / "nnUNetPlans_2d").is_dir():
        _run(["nnUNetv2_plan_and_preprocess", "-d", number, "-c", "2d", "-npfp", "2", "-np", "2"], environment, log)
    task = work / "task.json"
    names = {side: [case.case for case in cases] for side, cases in sides.items()}
    task.write_text(
        json.dumps(
            {"dataset": name, "configuration": "2d", "batch": args.batch, "minutes": args.minutes, "fold": names}
        )
    )
    _run([str(python), "-m", "beside_nnunet.nnunet_fold", str(task)], environment, log)
    found |= json.loads(task.with_name("trained.json").read_text(encoding="utf-8"))
    print(f"{found['iterations']} iterations of {args.batch} slices in {found['minutes']:.1f} min, "
          f"{found['parameters'] / 1e6:.1f} million parameters", flush=True)  # fmt: skip
    images, labels, predictions = (work / f"{kind}_{args.batch}" for kind in ("images", "labels", "predictions"))
    for folder in (images, labels, predictions):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for case in sides["val"]:
        assert case.label is not None
        for target, file in ((images, case.image), (labels, case.label)):
            (target / Path(file).name).symlink_to((raw / file).resolve())
    begin = time.monotonic()
    passes = [] if args.mirror else ["--disable_tta"]
    _run(["nnUNetv2_predict", "-i", str(images), "-o", str(predictions), "-d", number, "-c", "2d", "-f", "0", "-device", "cpu",
          "-npp", "1", "-nps", "1", *passes], environment, log)  # fmt: skip
    found |= {"predict_s": time.monotonic() - begin, "mirror": args.mirror, "cases": len(sides["val"])}
    evaluation = evaluate(labels, predictions, dataset=args.dataset, root=args.root)
    found["dice"] = {structure: values["dice"] for structure, values in evaluation.summary.items()}
    found["dice"]["mean"] = evaluation.mean_dice
    print(", ".join(f"{structure} {value:.3f}" for structure, value in found["dice"].items()))
    return found


def _run(command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    with log.open("wb") as file:
        done = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=dict(environment)
        )
    if done.returncode != 0:
        end = log.read_text(encoding="utf-8", errors="replace")[-_TOLD:]
        raise RuntimeError(f"{command} failed with status {done.returncode}:\n{end}")


if __name__ == "__main__":
    main()
