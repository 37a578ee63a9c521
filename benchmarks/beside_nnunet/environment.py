"""nnU-Net in an environment of its own, made from the package registry."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from autolv.core.errors import WorkspaceError

NNUNET = "nnunetv2==2.8.1"
_TOLD = 3000  # characters of an installation's output that are told when it has failed


def peer_python(folder: Path, constraints: Path) -> Path:
    """Return the Python of the environment in ``folder``, which is made where it is missing or unfinished.

    PyTorch goes first, by the exact pin of ``constraints``, which hold what follows too: nnU-Net would otherwise replace
    it through torchvision, which asks for a newer one. torchvision is taken out afterwards: built for CUDA it cannot be
    imported beside a PyTorch for the CPU, and nothing that is measured needs it. pip's own settings (``PIP_INDEX_URL`` and
    the like) say which registry is asked.

    Raises ``WorkspaceError`` when ``folder`` is something else, or with the end of pip's output when an installation fails.
    """
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if _is_finished(folder, python):
        return python
    if folder.exists() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").exists():
        raise WorkspaceError(
            f"{folder} is neither empty nor a virtual environment.", remedy="Name another folder with --peer-env."
        )
    torch = next(line for line in constraints.read_text(encoding="utf-8").split() if line.startswith("torch=="))
    pip = (str(python), "-m", "pip", "--disable-pip-version-check")
    _run((sys.executable, "-m", "venv", "--clear", str(folder)))
    _run((*pip, "install", "--quiet", torch))
    _run((*pip, "install", "--quiet", "--constraint", str(constraints), NNUNET, "safetensors"))
    _run((*pip, "uninstall", "--quiet", "--yes", "torchvision"))
    _mark(folder).write_text(NNUNET + "\n", encoding="utf-8")
    return python


def _is_finished(folder: Path, python: Path) -> bool:
    return python.exists() and _mark(folder).exists() and _mark(folder).read_text(encoding="utf-8").strip() == NNUNET


def _mark(folder: Path) -> Path:
    return folder / "finished.txt"


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise WorkspaceError(
            f"{' '.join(command)} failed with status {done.returncode}:\n{done.stdout[-_TOLD:]}\n",
            remedy="Mend what it complains of and run the same command again.",
        )
