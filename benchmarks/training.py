"""Training beside nnU-Net 2.8.1: the same network, patch and batch on the same preprocessed fold, in turn.

    python benchmarks/training.py --acdc ACDC/training --out training.json
    python benchmarks/training.py --quick                      # phantoms, two steps: does it run?

The script makes an environment for nnU-Net from the package registry (2 GB, once), preprocesses the fold with autolv,
and starts a process per tool. These are set up one after the other and then take a few steps in turn, A B, B A, A B, ...,
while the other one waits; each round begins with steps that do not count. A ratio is the median of the rounds' ratios,
since machines are slower at some minutes than at others. Printed per configuration: seconds per iteration, share of time
waiting for data, samples per second of the loader alone and of augmentation alone (one core), peak memory, and the rate
of the convolutions (forward and backward) as a share of the fastest matrix product measured in the same rounds.

The same for both: the cases (nnU-Net's store is filled with autolv's arrays), the fold, network, patch, batch, gradient
clipping, loss (Dice and cross-entropy), the device (CPU) and its cores; in the comparison of augmentation also the
patches and the distribution (autolv's preset ``nnunet``).

Each as it trains by itself: autolv with the plan's optimiser and preset (which moves more samples than nnU-Net's), cases
in memory, batches made in the training process, and the way to take steps (precision, layout, compilation) that its own
trial at a fold's start has found; nnU-Net with its trainer as shipped: float32, SGD, cases read from its compressed store,
worker processes that make batches meanwhile. nnU-Net's network has a bias ahead of each normalisation and one head more
(of weight 0): the numbers of parameters are printed and must differ by these alone. Its labels for deep supervision are
made by its loader, autolv's by the loss. Peak memory is that of the whole process tree, shared pages counted once
(the trial and the compiler's processes are in autolv's, the loader's workers in nnU-Net's), looked at during setting up and a
round of its own; the steps that count are not disturbed by it. Linux only.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from beside_nnunet.data import first_fold, prepare, raw_dataset
from beside_nnunet.environment import NNUNET, peer_python
from beside_nnunet.protocol import Arm
from beside_nnunet.report import augmentation_rows, configuration_rows, heading, table
from beside_nnunet.translation import surplus

from autolv.core.errors import AutolvError, PlanError
from autolv.runtime.cores import granted_cores, total_memory_gb
from autolv.runtime.device import device_name
from autolv.schema.plan import Configuration, Plan
from autolv.schema.record import read_record, write_text

ROOT = Path(__file__).resolve().parents[1]
_WARM_UP = 2  # steps at the beginning of a round that do not count
_MEMORY_STEPS = 4
_TOOLS = ("autolv", "nnunet")
_QUICK_PATIENTS = 6
_MINUTES = 12.0  # of training, for which autolv's trial looks for the fastest way where the plan names none


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
    parser.add_argument("--plan", type=Path, default=ROOT / "plans" / "ACDC" / "plan.json", help="(default: ACDC's)")
    parser.add_argument("--configurations", nargs="+", default=["2d_unet", "3d_unet"], metavar="NAME")
    parser.add_argument("--patients", type=int, metavar="N", help="only the first N")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8, help="steps per round and tool that count")
    cache = Path.home() / ".cache" / "autolv"
    parser.add_argument("--peer-env", type=Path, default=cache / NNUNET.replace("==", "-"), metavar="FOLDER",
                        help="nnU-Net's environment, made where it is missing (default: %(default)s)")  # fmt: skip
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "autolv-benchmark", metavar="FOLDER",
                        help="keeps converted and preprocessed cases for the next time (default: %(default)s)")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE", help="write every number as JSON")
    parser.add_argument("--quick", action="store_true", help="a few patients, one round of two steps, no compilation")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.steps, args.patients = 1, 2, args.patients or _QUICK_PATIENTS
    if args.rounds < 1 or args.steps < 1:
        parser.error("--rounds and --steps are at least 1")
    return args


def _compare(args: argparse.Namespace) -> dict[str, Any]:
    plan = read_record(Plan, args.plan)
    for name in args.configurations:
        network = plan.configurations[name].network if name in plan.configurations else None
        if network is None or network.architecture != "unet" or network.in_channels != 1:
            raise PlanError(
                f"{args.plan} has no plain U-Net of one channel named {name!r}.",
                remedy="Name others with --configurations.",
            )
    machine = _machine()
    print(f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, {machine['date']}, "
          f"load {machine['load_before']:.2f}", flush=True)  # fmt: skip
    python = peer_python(args.peer_env.expanduser().resolve(), ROOT / "constraints.txt")
    work = args.work.expanduser().resolve()
    work.mkdir(parents=True, exist_ok=True)
    folder, dataset = raw_dataset(work, args.acdc, args.patients)
    fold = first_fold(dataset, args.plan.with_name("splits.json"))
    options = {name: getattr(args, name) for name in ("rounds", "steps", "quick")}
    options |= {"data": dataset.name, "patients": len(dataset.patients)}
    result: dict[str, Any] = {"machine": machine, "options": options, "configurations": {}}
    for name in args.configurations:
        configuration = plan.configurations[name]
        mode = "off" if args.quick else "auto"
        task = prepare(work, folder, dataset, fold, configuration, compile_mode=mode)
        minutes = plan.compute.time_budget_minutes or _MINUTES
        found = _configuration(args, python, task, configuration, minutes)
        found["table"] = configuration_rows(found)
        print(f"\n{heading(configuration, found)}\n\n{table(found['table'])}", flush=True)
        if configuration.network.dimensions == 2:
            found["augmentation"] = _augmentation(args, python, task)
            found["augmentation_table"] = augmentation_rows(found["augmentation"])
            print(f"\naugmentation alone, slices of {name}\n\n{table(found['augmentation_table'])}", flush=True)
        result["configurations"][name] = found
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


def _arm(name: str, python: Path, task: Path) -> Arm:
    """Start a tool's process; the environments are alike but for where modules and nnU-Net's data are found."""
    here, place = ROOT / "benchmarks", task.parent
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if name == "autolv":
        binary = sys.executable
        environment["PYTHONPATH"] = f"{here}{os.pathsep}{ROOT}"
    else:
        binary = str(python)
        environment["PYTHONPATH"] = str(here)
        for kind in ("raw", "preprocessed", "results"):
            (place / kind).mkdir(exist_ok=True)
            environment[f"nnUNet_{kind}"] = str(place / kind)
    command = (binary, "-m", f"beside_nnunet.{name}_arm", str(task))
    return Arm(name, command, environment, place / f"{name}.log")


def _configuration(
    args: argparse.Namespace, python: Path, task: Path, configuration: Configuration, minutes: float
) -> dict[str, Any]:
    """Return what both arms gave for a configuration."""
    with _arm("nnunet", python, task) as arm:  # a process of its own, so that this does not count as memory
        arm.ask("store_cases")
    arms = {name: _arm(name, python, task) for name in _TOOLS}
    with arms["autolv"], arms["nnunet"]:
        set_up = {
            "autolv": arms["autolv"].ask("set_up", watched=True, minutes=minutes),
            "nnunet": arms["nnunet"].ask("set_up", watched=True),
        }
        _check_parameters(configuration, set_up)
        found: dict[str, Any] = {name: {"set_up": answer, "rounds": []} for name, answer in set_up.items()}
        found |= {"gflop_per_step": set_up["autolv"]["gflop_per_step"], "matmul": [], "order": []}
        for arm in arms.values():
            arm.ask("steps", watched=True, count=min(_MEMORY_STEPS, args.steps))
        for number in range(args.rounds):
            order = sorted(arms, reverse=number % 2 == 1)
            found["matmul"].append(arms["autolv"].ask("matmul"))
            for name in order:
                arms[name].ask("steps", count=_WARM_UP)
                found[name]["rounds"].append(arms[name].ask("steps", count=args.steps))
            found["order"].append(order)
            print(f"{configuration.name}: round {number + 1} of {args.rounds}", flush=True)
        for name, arm in arms.items():
            found[name]["samples_per_second"] = arm.ask("load", batches=4 * args.steps)
            found[name]["peak_mib"] = arm.peak_mib
            found[name]["peak_rss_mib"] = arm.ask("peak_rss_mib")
    return found


def _augmentation(args: argparse.Namespace, python: Path, task: Path) -> dict[str, list[float]]:
    """Return the samples per second of augmentation alone, per round."""
    arms = {name: _arm(name, python, task) for name in _TOOLS}
    passes = 2 if args.quick else 10
    found: dict[str, list[float]] = {name: [] for name in arms}
    with arms["autolv"], arms["nnunet"]:
        for arm in arms.values():
            arm.ask("augment", rounds=passes)  # nnU-Net's blur tries its implementations on first use
        for number in range(args.rounds):
            for name in sorted(arms, reverse=number % 2 == 1):
                found[name].append(arms[name].ask("augment", rounds=passes))
    return found


def _check_parameters(configuration: Configuration, set_up: dict[str, dict[str, Any]]) -> None:
    """Refuse two networks that differ by more than is known."""
    more = set_up["nnunet"]["parameters"] - set_up["autolv"]["parameters"]
    known = surplus(configuration.network)
    if more != known.biases + known.heads:
        raise PlanError(f"the networks of {configuration.name} are not the same: {more} parameters more in nnU-Net's, "
                        f"not {known.biases + known.heads}.")  # fmt: skip


if __name__ == "__main__":
    main()
