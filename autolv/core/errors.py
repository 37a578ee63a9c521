"""One tree of errors: each says what was expected, what came, and what to do."""


class AutolvError(Exception):
    """A failure that the user can understand and mend.

    ``message`` says what was expected and what came; ``remedy``, one sentence, says what to do. Commands print both
    and exit with ``exit_status``; library code lets the exception pass.
    """

    exit_status = 2

    def __init__(self, message: str, *, remedy: str = "") -> None:
        self.message = message
        self.remedy = remedy
        super().__init__(f"{message} {remedy}".strip())


class DataError(AutolvError):
    """An image, a label map or a dataset is not what it must be."""


class SchemaError(AutolvError):
    """A record on disk does not have the fields, types or version that it must have."""


class PlanError(AutolvError):
    """A plan or a configuration cannot be made or used."""


class SplitError(AutolvError):
    """A split would let a patient stand on both sides, or does not fit the dataset."""


class WorkspaceError(AutolvError):
    """A place in the workspace is missing, or would be overwritten unasked."""


class TrainingError(AutolvError):
    """A training run cannot start, go on, or end."""


class ModelError(AutolvError):
    """A trained model is missing, incomplete, or does not fit the request."""


class DeviceError(AutolvError):
    """The device asked for is not there."""


class PartialFailure(AutolvError):
    """Some of many independent pieces failed; the others were done and their results stand."""

    exit_status = 1


class Interrupted(AutolvError):
    """The user or the scheduler asked to stop; what was done so far was saved."""

    exit_status = 130
