"""What all tests share: no network, few threads, a workspace, real data where they are, a small phantom dataset."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

# before anything imports torch or numpy: the tests share the machine
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.pop("AUTOLV_ROOT", None)

_GUARD = Path(__file__).parent / "no_network"
sys.path.insert(0, str(_GUARD))
sys.modules.pop("sitecustomize", None)
import sitecustomize  # noqa: E402, F401 - refuses connections from here on

# and in every Python process that a test starts
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_GUARD), os.environ.get("PYTHONPATH"))))

import pytest  # noqa: E402

from autolv.core.workspace import Workspace  # noqa: E402


@pytest.fixture(autouse=True)
def _every_message_is_logged() -> None:
    """Undo what a command before this test made of the log (``--quiet``): tests look at messages by ``caplog``."""
    logging.getLogger("autolv").setLevel(logging.NOTSET)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace, in a folder whose name has a space and a letter outside ASCII."""
    root = tmp_path / "my wörk"
    root.mkdir()
    return Workspace.at(root)


@pytest.fixture(scope="session")
def acdc_folder() -> Path:
    """The ACDC training folder named by AUTOLV_ACDC; the test skips where it is not set."""
    text = os.environ.get("AUTOLV_ACDC")
    if not text:
        pytest.skip("AUTOLV_ACDC is not set: it names the folder with ACDC's training patients")
    folder = Path(text)
    if not (folder / "patient001").is_dir():
        pytest.skip(f"AUTOLV_ACDC names {folder}, which has no patient001")
    return folder


@pytest.fixture(scope="session")
def tiny_phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small phantom patients to train on and one to test with, in ACDC's layout; read-only, made once."""
    from autolv.datasets._phantom_tree import write_acdc_tree
    from autolv.datasets.phantom import PhantomSpec

    folder = tmp_path_factory.mktemp("tiny_phantoms") / "my scans"
    spec = PhantomSpec(shape=(6, 80, 80), spacing_mm=(10.0, 2.2, 2.2))
    write_acdc_tree(folder, patients=4, test_patients=1, frames=5, spec=spec, seed=9)
    return folder
