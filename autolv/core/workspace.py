"""The only code that spells a path under the four data folders."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from autolv.core.errors import WorkspaceError

STUDIES = "tune"  # the folder of the searches, which no run may be called
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_name(name: str, what: str) -> str:
    """Return ``name`` if it is safe as a folder's name, else raise ``WorkspaceError``."""
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise WorkspaceError(
            f"{what} {name!r} cannot be a folder's name.",
            remedy="Use letters, digits, '-', '_' and '.', beginning with a letter or digit.",
        )
    return name


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folders ``raw_data``, ``plans``, ``preprocessed`` and ``results`` under one root.

    ``branch`` names the folders between a dataset's results and its runs: those of a study, else none.
    """

    root: Path
    branch: tuple[str, ...] = ()

    @classmethod
    def at(cls, root: Path | str) -> Workspace:
        """Return the workspace at ``root``, which must be an existing folder."""
        path = Path(root).expanduser().resolve()
        if not path.is_dir():
            raise WorkspaceError(
                f"the workspace root {path} is not an existing folder.",
                remedy="Create it, or name another with --root.",
            )
        return cls(path)

    def raw(self, dataset: str) -> Path:
        """Where a dataset's images, labels, ``dataset.json`` and ``cases.csv`` lie (nnU-Net's raw layout)."""
        return self.root / "raw_data" / check_name(dataset, "the dataset")

    def plans(self, dataset: str) -> Path:
        """Where a dataset's fingerprint, plan and splits lie."""
        return self.root / "plans" / check_name(dataset, "the dataset")

    def fingerprint_file(self, dataset: str) -> Path:
        """The dataset's fingerprint."""
        return self.plans(dataset) / "fingerprint.json"

    def plan_file(self, dataset: str) -> Path:
        """The dataset's plan."""
        return self.plans(dataset) / "plan.json"

    def splits_file(self, dataset: str) -> Path:
        """The dataset's splits."""
        return self.plans(dataset) / "splits.json"

    def check_file(self, dataset: str) -> Path:
        """The dataset check's report."""
        return self.plans(dataset) / "check.json"

    def cache(self, dataset: str, block_hash: str) -> Path:
        """Where the cases preprocessed with one preprocessing block are kept; deleting it loses time only."""
        return self.root / "preprocessed" / check_name(dataset, "the dataset") / block_hash

    def steps(self) -> Path:
        """What machines remember of the fastest way to take training steps; deleting it loses time only."""
        return self.root / "results" / ".steps"

    def results(self, dataset: str) -> Path:
        """Where a dataset's runs lie."""
        return self.root.joinpath("results", check_name(dataset, "the dataset"), *self.branch)

    def studies(self, dataset: str, configuration: str) -> Path:
        """Where the searches for a configuration's hyper-parameters lie."""
        return self.results(dataset) / STUDIES / check_name(configuration, "the configuration")

    def of_study(self, configuration: str, study: str) -> Workspace:
        """Return this workspace with the runs of one study in place of the usual ones; all else is shared."""
        names = (check_name(configuration, "the configuration"), check_name(study, "the study"))
        return replace(self, branch=(STUDIES, *names))

    def run(self, dataset: str, run: str) -> Path:
        """Everything trained on a dataset under one name of training choices."""
        if run == STUDIES:
            raise WorkspaceError(f"{run!r} is where autolv_tune keeps its trials.", remedy="Give the run another name.")
        return self.results(dataset) / check_name(run, "the run")

    def configuration(self, dataset: str, run: str, configuration: str) -> Path:
        """The folds of one configuration."""
        return self.run(dataset, run) / check_name(configuration, "the configuration")

    def fold(self, dataset: str, run: str, configuration: str, fold: int) -> Path:
        """One trained fold."""
        return self.configuration(dataset, run, configuration) / f"fold_{fold}"

    def model(self, dataset: str, run: str) -> Path:
        """The self-contained model folder that ``autolv_find_best_config`` writes."""
        return self.run(dataset, run) / "model"
