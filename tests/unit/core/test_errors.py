"""The error tree: one base, a remedy with each, exit statuses that scripts can rely on."""

import pytest

from autolv.core import errors


def test_message_and_remedy_make_one_sentence_each() -> None:
    error = errors.DataError("case_1 has no label.", remedy="Add it.")
    assert (error.message, error.remedy, str(error)) == (
        "case_1 has no label.",
        "Add it.",
        "case_1 has no label. Add it.",
    )
    assert str(errors.DataError("alone.")) == "alone."


@pytest.mark.parametrize(
    ("kind", "status"),
    [("DataError", 2), ("SchemaError", 2), ("PlanError", 2), ("SplitError", 2), ("WorkspaceError", 2),
     ("TrainingError", 2), ("ModelError", 2), ("DeviceError", 2), ("PartialFailure", 1), ("Interrupted", 130)],
)  # fmt: skip
def test_every_error_is_an_autolv_error_with_its_status(kind: str, status: int) -> None:
    assert issubclass(getattr(errors, kind), errors.AutolvError)
    assert getattr(errors, kind).exit_status == status
