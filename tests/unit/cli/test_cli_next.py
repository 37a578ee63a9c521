"""The doctor and the evaluation end with the command to run next; the demo makes no workspace where there is none."""

import importlib
import shlex
from pathlib import Path

import pytest


def last_line(text: str) -> str:
    return text.rstrip("\n").splitlines()[-1]


def test_the_doctor_names_the_next_command_with_the_root_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = importlib.import_module("autolv.pipeline.doctor")
    monkeypatch.setattr(recipe, "doctor", lambda root: f"report of {root}")  # its own tests have the report
    main = importlib.import_module("autolv.cli.doctor").main
    assert main(["--root", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert told.out == f"report of {tmp_path}\n"
    assert last_line(told.err) == f"next: autolv_demo --root {shlex.quote(str(tmp_path))}"
    assert main(["--root", str(tmp_path / "nowhere")]) == 0  # the report says what to mend first
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("line", "following"),
    [
        ("-r REF -p PRED", "autolv_evaluate -r REF -p PRED -o evaluation"),
        ("-r REF -p 'my preds' -d D", "autolv_evaluate -r REF -p 'my preds' -o evaluation -d D"),
        (
            "-r REF -p PRED --labels RV=1,LV=3 --table acdc --allow-missing --root R",
            "autolv_evaluate -r REF -p PRED -o evaluation --labels RV=1,LV=3 --table acdc --allow-missing --root R",
        ),
        ("-r REF -p PRED -o OUT", "autolv_predict -i IMAGES -o OUTPUT -d DATASET"),
        ("-r raw_data/Mine/labelsTs -p PRED -o OUT", "autolv_predict -i IMAGES -o OUTPUT -d Mine"),
        ("-r REF -p PRED -o OUT -d D --root R", "autolv_predict -i IMAGES -o OUTPUT -d D --root R"),
    ],
)
def test_the_evaluation_names_the_next_command(
    line: str, following: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = importlib.import_module("autolv.reporting.tables")
    monkeypatch.setattr(tables, "evaluation_table", lambda _: "rows")
    monkeypatch.setattr(tables, "acdc_table", lambda _: "rows")
    monkeypatch.setattr(importlib.import_module("autolv.pipeline.evaluate"), "evaluate", lambda *a, **k: None)
    assert importlib.import_module("autolv.cli.evaluate").main(shlex.split(line)) == 0
    told = capsys.readouterr()
    assert told.out == "rows\n"
    assert last_line(told.err) == f"next: {following}"
    command, *words = shlex.split(following)
    importlib.import_module(f"autolv.cli.{command.removeprefix('autolv_')}").build_parser().parse_args(words)


def test_the_demo_makes_its_folder_in_a_root_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(importlib.import_module("autolv.pipeline.demo"), "demo", lambda **k: calls.append(k))
    main = importlib.import_module("autolv.cli.demo").main
    assert main(["--root", str(tmp_path / "nowhere"), "--quiet"]) == 2
    assert calls == []
    assert main(["--root", str(tmp_path), "--quiet"]) == 0
    assert [call["root"] for call in calls] == [tmp_path / "demo"]
