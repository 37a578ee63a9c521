"""The notebooks: short, without outputs, on the public API alone; and each runs from its first cell to its last."""

import ast
import gc
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import autolv

FOLDER = Path(__file__).parents[1] / "docs" / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
IMPORTS = {"os", "tempfile", "pathlib", "matplotlib.pyplot", "numpy", "autolv"}
LONGEST_CELL = 20  # lines

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in content["cells"] if cell["cell_type"] == kind]


def nodes(path: Path) -> Iterator[ast.AST]:
    for cell in cells(path, "code"):
        yield from ast.walk(ast.parse("".join(cell["source"])))


def private_use(node: ast.AST) -> str:
    """Return what ``node`` takes that is not public, or an empty text."""
    if isinstance(node, ast.Import):
        return ", ".join(alias.name for alias in node.names if alias.name not in IMPORTS)
    if isinstance(node, ast.ImportFrom):
        return "" if node.module in IMPORTS - {"autolv"} else str(node.module)
    if isinstance(node, ast.Attribute):
        of_autolv = isinstance(node.value, ast.Name) and node.value.id == "autolv"
        return node.attr if node.attr.startswith("_") or (of_autolv and node.attr not in autolv.__all__) else ""
    return ""


def test_there_are_two() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["explore_and_plan", "train_and_read_out"]


@each_notebook
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    code = cells(path, "code")
    assert len(code) > 8
    assert [cell["source"] for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []


@each_notebook
def test_a_notebook_uses_the_public_api_alone(path: Path) -> None:
    assert [found for node in nodes(path) if (found := private_use(node))] == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import autolv.pipeline.look", "autolv.pipeline.look"),
        ("from autolv.schema.plan import Plan", "autolv.schema.plan"),
        ("from autolv import train", "autolv"),  # autolv.train is how a reader finds where a name comes from
        ("autolv.pipeline", "pipeline"),
        ("plan._secret", "_secret"),
        ("import torch", "torch"),
        ("autolv.train('D')", ""),
        ("import numpy as np", ""),
    ],
)
def test_what_is_private_is_seen(code: str, found: str) -> None:
    assert "".join(map(private_use, ast.walk(ast.parse(code)))) == found


@each_notebook
def test_a_notebook_s_cells_are_short_and_none_is_magic(path: Path) -> None:
    texts = ["".join(cell["source"]) for cell in cells(path, "code")]
    assert [text for text in texts if text.count("\n") >= LONGEST_CELL] == []
    assert [line for text in texts for line in text.splitlines() if line.lstrip().startswith(("%", "!"))] == []


@each_notebook
def test_a_notebook_says_how_long_it_takes_and_how_to_take_acdc(path: Path) -> None:
    first = "".join(cells(path, "markdown")[0]["source"])
    assert re.search(r"(a|three) minutes? on two\s+cores", first)
    assert "AUTOLV_ACDC" in first


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@each_notebook
def test_a_notebook_runs_on_phantoms(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    monkeypatch.delenv("AUTOLV_ACDC", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FOLDER.parents[1]), os.environ["PYTHONPATH"]]))
    notebook = nbformat.read(path, as_version=4)
    # no network, and a place that the kernel finds too, which works in another folder than this process
    ipc = {} if sys.platform == "win32" else {"transport": "ipc", "ip": str(tmp_path / "k")}
    manager = AsyncKernelManager(kernel_name="python3", **ipc)
    client = NotebookClient(notebook, km=manager, timeout=1800, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    del client, manager
    gc.collect()  # sockets that their library leaves open are told now, and not when the tests have ended

    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert sum("image/png" in output.get("data", {}) for output in outputs) == sum("figure" in c.source for c in code)
    assert [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr" and "Warning" in o.text] == []
