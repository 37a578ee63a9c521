"""Every command of the README is run as it stands, on a dataset of seconds: only the time budgets are cut short."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from autolv.imageio.volumes import read_labels

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BUDGET = re.compile(r"(--time-budget )\S+")
SECONDS = r"\g<1>2s"
MINUTES = r"\g<1>2m"  # a search is several trainings
MAKE = ["make demo", "make test"]  # run by `make test-all`: the one as its last step, the other as its main part
# what a copy of the project needs none of; what lies in the data folders may be large
LEFT_BEHIND = (
    ".*", "raw_data", "plans", "preprocessed", "results", "demo", "tests", "build", "dist", "__pycache__", "*.egg-info"
)  # fmt: skip


def blocks(language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall(README.read_text(encoding="utf-8")) if kind == language]


def commands() -> list[str]:
    return [line.removeprefix("$ ") for body in blocks("console") + blocks("bash") for line in body.splitlines()]


def installing() -> list[str]:
    """The lines that install without make."""
    return [line for body in blocks("sh") for line in body.splitlines() if line not in MAKE]


def test_the_readme_shows_every_command_but_the_demo_and_the_import_of_what_is_not_there() -> None:
    shown = {shlex.split(line)[0] for line in commands()}
    assert shown == {
        "autolv_convert", "autolv_plan_and_preprocess", "autolv_train", "autolv_find_best_config", "autolv_predict",
        "autolv_evaluate", "autolv_report", "autolv_doctor", "autolv_tune",
    }  # fmt: skip
    assert len(commands()) >= 11
    assert all(line.startswith("$ ") for body in blocks("console") for line in body.splitlines())


def test_the_other_lines_are_make_s_two_commands_and_those_that_install() -> None:
    lines = [line for body in blocks("sh") for line in body.splitlines()]
    assert lines == [*MAKE, *installing()]
    pinned = (README.parent / "constraints.txt").read_text(encoding="utf-8").splitlines()
    (torch,) = [line for line in pinned if line.startswith("torch==")]
    assert installing() == [
        "python -m venv .venv",
        f".venv/bin/python -m pip install {torch}",
        ".venv/bin/python -m pip install -c constraints.txt .",
    ]


def test_every_way_that_is_told_is_among_the_lines_that_are_run() -> None:
    told = set(re.findall(r"`autolv_convert (\w+) SOURCE", README.read_text(encoding="utf-8")))
    run = {words[1] for line in commands() if (words := shlex.split(line))[0] == "autolv_convert"}
    assert told == {"acdc", "nnunet", "folder"}
    assert run == {*told, "phantom"}
    assert any("--model" in shlex.split(line) for line in commands())


def test_each_command_knows_the_flags_that_the_readme_says() -> None:
    import importlib

    project = tomllib.loads((README.parent / "pyproject.toml").read_text(encoding="utf-8"))
    names = [name.removeprefix("autolv_") for name in project["project"]["scripts"]]
    flags = {name: {flag for action in importlib.import_module(f"autolv.cli.{name}").build_parser()._actions
                    for flag in action.option_strings} for name in names}  # fmt: skip

    def knowing(flag: str) -> set[str]:
        return {name for name in names if flag in flags[name]}

    for flag in ("--help", "--root", "--verbose", "--quiet"):
        assert knowing(flag) == set(names), flag
    assert knowing("--workers") == set(names) - {"doctor", "import_nnunet"}
    assert knowing("--device") == {"plan_and_preprocess", "train", "tune", "find_best_config", "predict", "demo"}
    assert knowing("--seed") == {"convert", "plan_and_preprocess", "train", "tune", "find_best_config"}


def test_every_flag_shown_is_one_the_command_has() -> None:
    import importlib

    for line in commands():
        program, *words = shlex.split(line)
        importlib.import_module(f"autolv.cli.{program.removeprefix('autolv_')}").build_parser().parse_args(words)


@pytest.mark.slow
def test_every_command_of_the_readme_works(tmp_path: Path) -> None:
    scripts = Path(sysconfig.get_path("scripts"))
    if not any(scripts.glob("autolv_doctor*")):
        pytest.skip("the commands are not installed")
    for line in commands():
        program, *words = shlex.split(BUDGET.sub(MINUTES if line.startswith("autolv_tune") else SECONDS, line))
        done = subprocess.run([scripts / program, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, line
    (python,) = blocks("python")
    done = subprocess.run([sys.executable, "-c", python], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "('lv_cavity', 'lv_myocardium', 'rv_cavity') (8, " in done.stdout
    for place in ("predictions/summary.json", "cines/patient011_4d.nii.gz", "evaluation/cases.csv", "plans/Mine/plan.json",
                  "results/Mine/default/model/best_config.json", "raw_data/Plain/dataset.json",
                  "raw_data/Again/cases.csv"):  # fmt: skip
        assert (tmp_path / place).is_file(), place
    labels = sorted(path.name for path in (tmp_path / "predictions").glob("*.nii.gz"))
    assert len(labels) == 4  # two patients, two frames each
    for name in labels:  # the folder of the chosen model and the dataset's name mean the same
        one, other = (read_labels(tmp_path / place / name) for place in ("predictions", "by_folder"))
        assert (one.array == other.array).all(), name


@pytest.mark.slow
def test_the_lines_that_install_lead_to_a_doctor_that_finds_nothing_amiss(tmp_path: Path) -> None:
    copy, elsewhere = tmp_path / "my autolv", tmp_path / "elsewhere"
    shutil.copytree(README.parent, copy, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
    elsewhere.mkdir()
    scripts = copy / ".venv" / ("Scripts" if os.name == "nt" else "bin")
    # pip may use the network, which conftest.py refuses to all that inherits its PYTHONPATH
    free = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    for line in installing():
        program, *words = shlex.split(line)
        found = sys.executable if program == "python" else scripts / Path(program).name
        done = subprocess.run([found, *words], cwd=copy, env=free, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    place = subprocess.run([scripts / "python", "-c", "import autolv; print(autolv.__file__)"], cwd=elsewhere,
                           capture_output=True, text=True, check=True)  # fmt: skip
    assert Path(place.stdout.strip()).is_relative_to(copy / ".venv")  # the package that was installed, not the sources
    # from here on without network again
    told = subprocess.run([scripts / "autolv_doctor"], cwd=elsewhere, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    pin = installing()[1].partition("torch==")[2]
    assert re.search(rf"^  torch {re.escape(pin)}(\+\w+)?$", told.stdout, re.MULTILINE)
    assert "NOT INSTALLED" not in told.stdout
    assert "known to be bad\n  nothing found" in told.stdout
    assert "next: autolv_demo" in told.stderr
