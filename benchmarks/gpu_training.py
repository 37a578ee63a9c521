"""Cross-validation and speed of training on a GPU that is there for minutes at a time.

    python benchmarks/gpu_training.py pack --root WORKSPACE -d ACDC -c 2d_unet 3d_unet --out acdc.npz
    python benchmarks/gpu_training.py speed acdc.npz --out speed.json
    python benchmarks/gpu_training.py train acdc.npz -c 2d_unet -f all --iterations 4000 --minutes 9 --out DIR
    python benchmarks/gpu_training.py table acdc.npz DIR
    python benchmarks/gpu_training.py install DIR --root WORKSPACE -d ACDC -c 2d_unet --run gpu

``pack`` runs where the dataset is planned and preprocessed. It puts all that the others need into one file of at most
60 MB: of each case the square about the centre of its field that holds every heart of the dataset and a margin, in 256
levels, with its labels, and the labels on the original grid. --gpu-memory-gb plans anew for a GPU that need not be there.

``train`` trains folds by autolv's own loop, all data on the device, no worker beside it, and scores each on the original
grid as ``autolv_train`` does: one network, the heart found first, no mirroring, no post-processing. What lies outside of the
packed square counts as background. After --minutes it saves its state (about 20 MB per million parameters; --part-mb
leaves it in parts of that size) and stops; the same command goes on, to the same weights bit by bit on the CPU, and on a
GPU with --deterministic. Weights are left in half precision, and scored so. Exit status 3: there is more to do.

``speed`` takes the networks, patches and batches of nnU-Net's plans for ACDC, or those that -c names, through the same loop.

``install`` puts what ``train`` left into a workspace, whose plan and splits must be those that it was trained by; then
``autolv_train`` with the flags that it prints predicts and scores the validation patients, and all else goes on as usual.

``train``, ``speed`` and ``table`` need torch, numpy, scipy, pydantic and acvl-utils (which imports blosc2), and nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from autolv.core.errors import AutolvError, DataError

_MORE_TO_DO = 3
_LARGEST_MB = 60.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for and return the exit status."""
    args = _arguments(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        return {"pack": _pack, "train": _train, "speed": _speed, "table": _table, "install": _install}[args.command](
            args
        )
    except AutolvError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    pack = commands.add_parser("pack", help="put a preprocessed dataset into one small file")
    pack.add_argument("--root", type=Path, default=Path())
    pack.add_argument("-d", "--dataset", required=True)
    pack.add_argument("-c", "--configurations", nargs="+", default=["2d_unet", "3d_unet"], metavar="NAME")
    pack.add_argument(
        "--plan", type=Path, metavar="FILE", help="another plan of the dataset (default: the workspace's)"
    )
    pack.add_argument("--gpu-memory-gb", type=float, metavar="GB", help="plan anew for a GPU with so much memory")
    pack.add_argument("--gpu-minutes", type=float, metavar="MIN", help="and for so many minutes per fold on it")
    pack.add_argument("--margin-mm", type=float, default=15.0, help="about the hearts (default: %(default)s)")
    pack.add_argument("--out", type=Path, required=True, metavar="FILE")
    train = commands.add_parser("train", help="train and score folds for some minutes; again to go on")
    train.add_argument("-f", "--folds", nargs="+", default=["all"], metavar="FOLD", help="numbers, or all")
    train.add_argument(
        "--plan", type=Path, metavar="FILE", help="a plan of the same dataset, preprocessed alike (default: the pack's)"
    )
    train.add_argument("--splits", type=Path, metavar="FILE", help="other folds of its patients (default: the pack's)")
    train.add_argument("--iterations", type=int, help="per fold (default: the plan's)")
    train.add_argument("--minutes", type=float, default=9.0, help="of this piece (default: %(default)s)")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--channels-last", action="store_true")
    train.add_argument("--compile", action="store_true")
    train.add_argument("--no-graphs", action="store_true", help="on a GPU, launch the parts of a step one by one")
    train.add_argument("--deterministic", action="store_true", help="the same bits again on a GPU; slower")
    train.add_argument("--part-mb", type=float, help="leave an unfinished state in parts of at most so many MB")
    speed = commands.add_parser("speed", help="seconds per iteration and how busy the device is")
    speed.add_argument("--iterations", type=int, default=30)
    speed.add_argument("--compile", choices=("off", "auto", "on"), default="auto")
    put = commands.add_parser("install", help="put trained folds into a workspace, as runs that lack their validation")
    put.add_argument("folder", type=Path, metavar="FOLDER", help="train's --out")
    put.add_argument("--root", type=Path, default=Path())
    put.add_argument("-d", "--dataset", required=True)
    put.add_argument("-c", "--configurations", nargs="+", required=True, metavar="NAME")
    put.add_argument("--run", default="gpu", help="its name (default: %(default)s)")
    table = commands.add_parser("table", help="five-fold means with intervals, beside published ones")
    for command in (train, speed, table):
        command.add_argument("pack", type=Path, metavar="PACK")
    for command in (train, speed):
        command.add_argument("-c", "--configurations", nargs="+", metavar="NAME", required=command is train)
        command.add_argument("--device", default="auto")
        command.add_argument("--precision", choices=("bfloat16", "float16", "float32"), default="bfloat16")
        command.add_argument(
            "--out", type=Path, required=command is train, metavar="FOLDER" if command is train else "FILE"
        )
    table.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    return parser.parse_args(argv)


def _pack(args: argparse.Namespace) -> int:
    from on_gpu.packed import write_pack
    from on_gpu.packing import gpu_plan, make_pack

    from autolv.core.workspace import Workspace
    from autolv.schema.plan import Plan
    from autolv.schema.record import read_record

    workspace = Workspace.at(args.root)
    plan = None if args.plan is None else read_record(Plan, args.plan)
    if args.gpu_memory_gb is not None:
        plan = gpu_plan(workspace, args.dataset, args.gpu_memory_gb, args.gpu_minutes)
    pack = make_pack(workspace, args.dataset, plan, args.configurations, args.margin_mm)
    size_mb = write_pack(args.out, pack) / 1e6
    print(f"{len(pack.cases)} cases of {len(pack.splits.folds)} folds in {args.out}: {size_mb:.1f} MB")
    if size_mb > _LARGEST_MB:
        print(f"warning: more than {_LARGEST_MB:g} MB; a smaller --margin-mm helps", file=sys.stderr)
    return 0


def _train(args: argparse.Namespace) -> int:
    begin = time.monotonic()
    from on_gpu.folds import Settings, run_folds, trained_by
    from on_gpu.packed import in_place_of, read_pack

    from autolv.runtime.determinism import deterministic
    from autolv.runtime.device import resolve_device

    pack, device = in_place_of(read_pack(args.pack), args.plan, args.splits), resolve_device(args.device)
    numbers = range(len(pack.splits.folds))
    folds = list(numbers) if args.folds == ["all"] else [int(fold) for fold in args.folds]
    if not set(folds) <= set(numbers):
        raise DataError(f"the pack has no fold {max(folds)}.", remedy=f"It has 0 to {len(numbers) - 1}.")
    for name in args.configurations:
        training = pack.configuration(name).training
        settings = Settings(
            pack=hashlib.sha256(args.pack.read_bytes()).hexdigest()[:16],
            configuration=trained_by(pack.configuration(name)), splits=pack.splits.content_hash(),
            iterations=args.iterations or training.epochs * training.iterations_per_epoch, seed=args.seed,
            precision=args.precision, channels_last=args.channels_last, compiled=args.compile,
            graphs=device.type == "cuda" and not args.no_graphs,
            deterministic=args.deterministic,
        )  # fmt: skip
        with deterministic(args.deterministic):
            done = run_folds(
                pack, name, folds, settings, args.out, device=device,
                stop_asked=lambda: time.monotonic() - begin > 60 * args.minutes,
                part_bytes=None if args.part_mb is None else int(args.part_mb * 1e6),
            )  # fmt: skip
        if not done:
            print("there is more to do: run the same command again")
            return _MORE_TO_DO
    print("all is done")
    return 0


def _speed(args: argparse.Namespace) -> int:
    from on_gpu.nnunet_plans import nnunet_plans
    from on_gpu.packed import read_pack, training_case
    from on_gpu.speed import measure_speed

    from autolv.runtime.device import prepare, resolve_device
    from autolv.runtime.rates import matmul_gflops

    pack, device = read_pack(args.pack), resolve_device(args.device)
    prepare(device)
    block = pack.configuration(pack.plan.recommended).preprocessing
    theirs = nnunet_plans(len(pack.plan.structures) + 1, block)
    names = args.configurations or list(theirs)
    chosen = [theirs[name] if name in theirs else pack.configuration(name) for name in names]
    cases = [training_case(case, device) for case in pack.of(pack.splits.folds[0].train)]
    rate = matmul_gflops(device, args.precision)
    print(f"2048 x 2048 matrix product in {args.precision}: {rate:.0f} GFLOP/s")
    rows = []
    for configuration in chosen:
        rows.append(
            measure_speed(
                configuration, cases, device, precision=args.precision, compile_mode=args.compile,
                iterations=args.iterations, rate_gflops=rate,
            )
        )  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
    if args.out is not None:
        args.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


def _install(args: argparse.Namespace) -> int:
    from on_gpu.folds import Place
    from on_gpu.install import install

    from autolv.core.workspace import Workspace

    for name in args.configurations:
        place = Place(folder=args.folder, name=name)
        folds, choices = install(Workspace.at(args.root), args.dataset, args.run, place)
        print(f"{name}: folds {', '.join(map(str, folds)) or 'none that are new'} put into the run {args.run!r}")
        print(
            f"next: autolv_train -d {args.dataset} -c {name} -f all --run {args.run} --root {args.root}{choices.flags}"
        )
    return 0


def _table(args: argparse.Namespace) -> int:
    from on_gpu.packed import read_pack
    from on_gpu.table import make_table

    files = sorted(file for folder in args.folders for file in folder.glob("*.json"))
    print(make_table(files, len(read_pack(args.pack).splits.folds)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
