"""The time until a help text stands there, beside nnU-Net 2.8.1: what every call of a command begins with.

    python benchmarks/startup.py --out startup.json

Each command with ``--help``, in turn with nnU-Net's command for the same purpose where it has one; medians of the rounds after
one that does not count. Of autolv's time some part is Python's own, which the first row shows. Linux only.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from beside_nnunet.commands import Stage, in_turn, own_environment, peer_environment
from beside_nnunet.report import Row, ratios, table
from beside_nnunet.short import ROOT, arguments, conclude, machine, parser_of, peer_of

_PEERS = {
    "autolv_convert": "nnUNetv2_convert_MSD_dataset",
    "autolv_plan_and_preprocess": "nnUNetv2_plan_and_preprocess",
    "autolv_train": "nnUNetv2_train",
    "autolv_tune": None,
    "autolv_find_best_config": "nnUNetv2_find_best_configuration",
    "autolv_predict": "nnUNetv2_predict",
    "autolv_evaluate": "nnUNetv2_evaluate_folder",
    "autolv_demo": None,
    "autolv_doctor": None,
}


def main() -> None:
    """Run what the command line asks for."""
    args = arguments(parser_of(__doc__))
    result: dict[str, Any] = {"machine": machine(), "commands": {}}
    work = args.work.expanduser().resolve()
    work.mkdir(parents=True, exist_ok=True)
    python = peer_of(args)
    own, theirs = own_environment(ROOT), peer_environment(python, work / "nnunet", ROOT / "benchmarks")
    lines: list[Row] = [("command", "autolv, s", "CPU s", "nnU-Net's", "s", "nnU-Net / autolv")]
    bare = in_turn(
        [Stage("python", [[sys.executable, "-c", "pass"]], own)], args.rounds, work / "help.log", memory=False
    )
    wall_s, cpu_s = (f"{statistics.median(bare['python'][unit]):.3f}" for unit in ("wall_s", "cpu_s"))
    lines.append(("(Python alone)", wall_s, cpu_s, "", "", ""))
    for command, peer in _PEERS.items():
        stages = [Stage("autolv", [[str(Path(sys.executable).with_name(command)), "--help"]], own)]
        if peer is not None:
            stages.append(Stage("nnunet", [[str(python.with_name(peer)), "-h"]], theirs))
        found = in_turn(stages, args.rounds, work / "help.log", memory=False)
        result["commands"][command] = found
        ours = found["autolv"]
        row = [command, *(f"{statistics.median(ours[unit]):.3f}" for unit in ("wall_s", "cpu_s"))]
        if peer is None:
            lines.append((*row, "", "", ""))
            continue
        other = found["nnunet"]["wall_s"]
        lines.append((*row, peer, f"{statistics.median(other):.2f}", str(ratios(other, ours["wall_s"]))))
    result["python"], result["table"] = bare["python"], lines
    print(f"\n{table(lines)}", flush=True)
    conclude(args, result)


if __name__ == "__main__":
    main()
