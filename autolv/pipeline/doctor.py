"""Recipe of ``autolv_doctor``: what there is to work with, what will be used, what is known to be bad."""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from autolv.core.errors import AutolvError
from autolv.core.workspace import STUDIES, Workspace
from autolv.runtime.cores import granted_cores, total_memory_gb

if TYPE_CHECKING:
    from autolv.schema.steps import RememberedTrial

_NUMBERS = re.compile(r"\d+(?:\.\d+)*")


@dataclass(frozen=True, slots=True)
class KnownBad:
    """Versions of a package (from ``first`` up to, but without, ``end``) that hurt, how, and the way out."""

    package: str
    first: tuple[int, ...]
    end: tuple[int, ...]
    harm: str
    remedy: str


KNOWN_BAD = (
    KnownBad(
        "torch", (2, 9), (2, 10),
        "3D convolutions under mixed precision are about four times slower (pytorch/pytorch issues 166122, 174051)",
        "install another version; constraints.txt holds the one that autolv is tested with",
    ),
    KnownBad(
        "acvl-utils", (0, 2, 1), (0, 2, 2),
        "its import asks for blosc2, which it does not install (MIC-DKFZ/nnUNet issue 2589)",
        "install 0.2.5 or newer",
    ),
)  # fmt: skip


def doctor(*, root: Path | str = ".") -> str:
    """Return a report: versions, cores and memory granted, devices, the workspace, findings."""
    found = package_versions()
    findings = [*bad_versions(found), *_missing(found)]
    sections = (
        ("versions", [f"{name} {number or 'NOT INSTALLED'}" for name, number in found.items()]),
        ("machine", _machine()),
        ("devices", _devices()),
        ("workspace", _workspace(root)),
        ("the fastest way to take training steps, remembered for this machine", _steps(root)),
        ("known to be bad", findings or ["nothing found"]),
    )
    lines = [f"{title}\n" + "\n".join(f"  {line}" for line in body) for title, body in sections]
    return "\n".join((*lines, "autolv never uses the network."))


def next_command(*, root: Path | str = ".") -> str | None:
    """Return the command to run next: the demo, or the next step of a dataset, first of one that has no model yet.

    ``None`` where the report names what has to be mended first: packages are missing, or there is no such root.
    """
    if _missing(package_versions()):
        return None
    try:
        workspace = Workspace.at(root)
    except AutolvError:
        return None
    described = sorted(workspace.raw("any").parent.glob("*/dataset.json"))
    steps: list[str] = []
    for path in described:
        with suppress(AutolvError):  # a name or a record that autolv refuses, as the commands will say
            steps.append(_next_step(workspace, path.parent.name))
    return min(steps, key=lambda step: step.startswith("autolv_predict"), default="autolv_demo")


def package_versions() -> dict[str, str | None]:
    """Return the version of Python, of autolv, and of each package that it requires; ``None`` where one is missing."""
    found: dict[str, str | None] = {"python": platform.python_version(), "autolv": _version("autolv")}
    for requirement in requires("autolv") or [] if found["autolv"] else []:
        if "extra ==" not in requirement:
            name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
            found[name] = _version(name)
    return found


def bad_versions(found: Mapping[str, str | None]) -> list[str]:
    """Return a line for each package in ``found`` whose version is known to be bad."""
    lines = []
    for bad in KNOWN_BAD:
        text = found.get(bad.package)
        if text is not None and bad.first <= _numbers(text) < bad.end:
            lines.append(f"{bad.package} {text}: {bad.harm}; {bad.remedy}")
    return lines


def _missing(found: Mapping[str, str | None]) -> list[str]:
    return [f"{name} is not installed; install autolv again" for name, number in found.items() if number is None]


def _version(name: str) -> str | None:
    try:
        return str(metadata(name)["Version"]) if name == "autolv" else version(name)
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, ...]:
    found = _NUMBERS.match(text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def _machine() -> list[str]:
    return [
        f"{platform.system()} {platform.release()}, {platform.machine()}, {sys.executable}",
        f"cores: {granted_cores()} granted to this process, {os.cpu_count()} in the machine",
        f"memory: {total_memory_gb():.1f} GiB granted",
    ]


def _devices() -> list[str]:
    """Return what each device is; a torch that cannot be imported is a finding, not an end."""
    try:
        import torch

        from autolv.runtime.device import device_memory_gb, device_name, prepare, resolve_device
        from autolv.runtime.rates import matmul_rates
    except (ImportError, OSError) as error:
        return [f"torch cannot be imported: {error}"]
    lines = [f"cpu: {device_name(torch.device('cpu'))}"]
    lines += [f"cuda:{i}: {device_name(torch.device('cuda', i))}, {device_memory_gb(torch.device('cuda', i)):.1f} GiB"
              for i in range(torch.cuda.device_count())]  # fmt: skip
    if not torch.cuda.is_available():
        build = "this build of torch is for the CPU" if torch.version.cuda is None else "no CUDA GPU is seen"
        lines.append(f"cuda: not there ({build})")
    lines.append("mps: there" if torch.backends.mps.is_available() else "mps: not there")
    used = resolve_device("auto")
    threads = prepare(used)
    rates = ", ".join(f"{precision} {rate:.0f}" for precision, rate in matmul_rates(used).items())
    lines.append(f"matrix products on {used.type}: {rates} GFLOP/s, {threads} threads")
    lines.append(f"--device auto takes {used.type}; precision, layout and compilation are picked by timing real steps")
    return lines


def _steps(root: Path | str) -> list[str]:
    """Return a line for each trial of steps that the workspace remembers for a device of this machine."""
    try:
        folder = Workspace.at(root).steps()
        import torch

        from autolv.pipeline.remember import remembered
        from autolv.runtime.device import device_name, resolve_device
    except (AutolvError, ImportError, OSError):  # told above
        return ["none"]
    here = {device_name(torch.device("cpu")), device_name(resolve_device("auto"))}
    trials = [trial for trial in remembered(folder) if trial.setting.device_name in here]
    return [_trial_in_words(trial) for trial in trials] or ["none"]


def _trial_in_words(trial: RememberedTrial) -> str:
    setting = trial.setting
    others = [f"{name} {seconds:.3f}" for name, seconds in trial.seconds.items() if name != trial.way.name]
    return (
        f"{len(setting.patch)}d_{setting.architecture}, {setting.samples} patches of {' x '.join(map(str, setting.patch))}, "
        f"{setting.device}, {setting.threads} threads, torch {setting.torch}: {trial.way.name}, "
        f"{trial.seconds[trial.way.name]:.3f} s per step (others: {', '.join(others) or 'none'})"
    )


def _workspace(root: Path | str) -> list[str]:
    try:
        workspace = Workspace.at(root)
    except AutolvError as error:
        return [str(error)]
    lines = [f"root: {workspace.root} (--root DIR or AUTOLV_ROOT move it)"]
    for folder in (workspace.raw("any").parent, workspace.plans("any").parent, workspace.results("any").parent):
        there = sorted(p.name for p in folder.glob("[!.]*") if p.is_dir())
        lines.append(f"{folder.name}: {', '.join(there) or 'no dataset'}")
    return lines


def _next_step(workspace: Workspace, dataset: str) -> str:
    """Return the command that goes on with a dataset, as far as the files show; the run called default comes first."""
    if not workspace.plan_file(dataset).is_file():
        return f"autolv_plan_and_preprocess -d {dataset}"
    runs = sorted(p.name for p in workspace.results(dataset).glob("[!.]*") if p.is_dir() and p.name != STUDIES)
    run = min(runs, key=lambda name: name != "default", default="default")
    named = "" if run == "default" else f" --run {run}"
    if (workspace.model(dataset, run) / "best_config.json").is_file():
        images = workspace.raw(dataset) / "imagesTs"
        shown = images.relative_to(Path.cwd()) if images.is_relative_to(Path.cwd()) else images
        source = shlex.quote(str(shown)) if images.is_dir() else "IMAGES"
        return f"autolv_predict -i {source} -o predictions -d {dataset}{named}"
    folder = workspace.run(dataset, run)
    if any(folder.glob("*/fold_*/evaluation.json")):
        return f"autolv_find_best_config -d {dataset}{named}"
    begun = sorted(path.parent.name for path in folder.glob("*/fold_*"))
    configuration = f" -c {begun[0]}" if begun else ""
    return f"autolv_train -d {dataset}{configuration} -f all{_flags(folder / 'choices.json')}{named}"


def _flags(choices: Path) -> str:
    """Return the flags of a run that was begun: its name stands for them."""
    from autolv.schema.record import read_record  # here, so that the report needs none of what it reports
    from autolv.schema.results import RunChoices

    return read_record(RunChoices, choices).flags if choices.is_file() else ""
