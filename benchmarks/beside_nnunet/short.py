"""What the benchmarks of short commands share: arguments, data, the machine in words, the file of results."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

from autolv.core.workspace import Workspace
from autolv.datasets.raw import load_dataset
from autolv.pipeline.convert import convert
from autolv.runtime.cores import granted_cores, total_memory_gb
from autolv.schema.dataset import Dataset
from autolv.schema.record import write_text
from beside_nnunet.environment import NNUNET, peer_python

ROOT = Path(__file__).resolve().parents[2]
_PATIENTS = 20  # of two frames each
_QUICK_PATIENTS = 5


def parser_of(text: str | None) -> argparse.ArgumentParser:
    """Return the parser with the flags that these benchmarks share."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--acdc", type=Path, metavar="FOLDER", help="ACDC's training patients (default: phantoms)")
    parser.add_argument("--patients", type=int, metavar="N", default=_PATIENTS, help="the first N (default: 20)")
    parser.add_argument("--rounds", type=int, default=3)
    cache = Path.home() / ".cache" / "autolv"
    parser.add_argument("--peer-env", type=Path, default=cache / NNUNET.replace("==", "-"), metavar="FOLDER",
                        help="nnU-Net's environment, made where it is missing (default: %(default)s)")  # fmt: skip
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "autolv-short-benchmark",
                        metavar="FOLDER", help="keeps converted cases for the next time (default: %(default)s)")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE", help="write every number as JSON")
    parser.add_argument("--quick", action="store_true", help="a few patients, one round")
    return parser


def arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return what the command line asks for."""
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.patients = 1, min(args.patients, _QUICK_PATIENTS)
    if args.rounds < 1 or args.patients < 2:
        parser.error("--rounds is at least 1, --patients at least 2")
    return args


def machine() -> dict[str, Any]:
    """Return what there is to know of the machine, before it is put to work; and print it."""
    known = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": granted_cores(),
        "memory_gib": round(total_memory_gb(), 1),
        "system": platform.platform(),
        "load_before": os.getloadavg()[0],
    }
    print(f"{known['processor']}, {known['cores']} cores, {known['system']}, {known['date']}, "
          f"load {known['load_before']:.2f}", flush=True)  # fmt: skip
    return known


def peer_of(args: argparse.Namespace) -> Path:
    """Return the Python of nnU-Net's environment, made where it is missing."""
    return peer_python(args.peer_env.expanduser().resolve(), ROOT / "constraints.txt")


def small_dataset(work: Path, acdc: Path | None, patients: int) -> tuple[Path, Dataset, Path]:
    """Return the raw folder, the record and the workspace of the first ``patients``, converted where missing."""
    name = f"{'Phantom' if acdc is None else 'ACDC'}{patients}"
    root = work / name
    root.mkdir(parents=True, exist_ok=True)
    folder = Workspace.at(root).raw(name)
    if not folder.is_dir():
        if acdc is None:
            convert("phantom", "-", dataset=name, root=root, patients=patients)
        else:
            source = work / "patients" / name
            source.mkdir(parents=True, exist_ok=True)
            for place in sorted(p for p in acdc.expanduser().resolve().iterdir() if p.is_dir())[:patients]:
                (source / place.name).symlink_to(place)
            convert("acdc", source, dataset=name, root=root)
    return folder, load_dataset(folder), root


def link_for_peer(work: Path, folder: Path) -> str:
    """Return the name that nnU-Net knows the raw ``folder`` by, which is the same files."""
    number = 900 + sum(folder.name.encode()) % 100
    link = work / "nnunet" / "raw" / f"Dataset{number}_{folder.name}"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(folder)
    return link.name


def conclude(args: argparse.Namespace, result: dict[str, Any]) -> None:
    """Write the numbers where they were asked for."""
    if args.out:
        write_text(args.out, json.dumps(result, indent=1) + "\n")
        print(f"\nall of it: {args.out}")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
