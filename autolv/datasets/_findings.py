"""Problems of a case, as they are found."""

from __future__ import annotations

from typing import Literal

from autolv.schema.dataset import CheckProblem


class Findings:
    """Collects the problems of one case."""

    def __init__(self, case: str) -> None:
        self._case = case
        self.problems: list[CheckProblem] = []

    def error(self, problem: str, values: str, remedy: str) -> None:
        """Add what keeps the dataset from being planned."""
        self._add("error", problem, values, remedy)

    def warning(self, problem: str, values: str, remedy: str) -> None:
        """Add what a reader should look at."""
        self._add("warning", problem, values, remedy)

    def _add(self, severity: Literal["error", "warning"], problem: str, values: str, remedy: str) -> None:
        self.problems.append(
            CheckProblem(case=self._case, severity=severity, problem=problem, values=values, remedy=remedy)
        )
