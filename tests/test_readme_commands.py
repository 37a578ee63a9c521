"""Every command of the README is run as it stands, on a dataset of seconds: only the time budgets are cut short."""

import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BUDGET = re.compile(r"(--time-budget )\S+")
SECONDS = r"\g<1>2s"
# run by `make test-all`, by CI's wheel test, or by whoever runs this test
INSTALLING = ("make demo", "make test", "python -m venv .venv", ".venv/bin/python -m pip install ")


def blocks(language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall(README.read_text(encoding="utf-8")) if kind == language]


def commands() -> list[str]:
    return [line.removeprefix("$ ") for body in blocks("console") + blocks("bash") for line in body.splitlines()]


def test_the_readme_shows_every_command_but_the_demo() -> None:
    shown = {shlex.split(line)[0] for line in commands()}
    assert shown == {
        "autolv_convert", "autolv_plan_and_preprocess", "autolv_train", "autolv_find_best_config", "autolv_predict",
        "autolv_evaluate", "autolv_doctor",
    }  # fmt: skip
    assert len(commands()) >= 11
    assert all(line.startswith("$ ") for body in blocks("console") for line in body.splitlines())


def test_what_is_not_run_here_only_installs() -> None:
    lines = [line for body in blocks("sh") for line in body.splitlines()]
    assert len(lines) == 5
    assert [line for line in lines if not line.startswith(INSTALLING)] == []


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
        program, *words = shlex.split(BUDGET.sub(SECONDS, line))
        done = subprocess.run([scripts / program, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, line
    (python,) = blocks("python")
    done = subprocess.run([sys.executable, "-c", python], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "('lv_cavity', 'lv_myocardium', 'rv_cavity') (8, " in done.stdout
    for place in ("predictions/summary.json", "cines/patient011_4d.nii.gz", "evaluation/cases.csv", "plans/Mine/plan.json",
                  "results/Mine/default/model/best_config.json", "raw_data/Plain/dataset.json"):  # fmt: skip
        assert (tmp_path / place).is_file(), place
