"""A photo that failed: as an exception where it was the only one, as a value among others."""

from __future__ import annotations

from typing import Any, Literal

from turnaround.flows.runs.execute import Result
from turnaround.pipeline.errors import TurnaroundError

_OF_A_PERSON = {"gaussians", "mesh", "body", "view", "back_view", "save", "show", "load", "outputs", "keys"}


class ReconstructionError(TurnaroundError, RuntimeError):
    """A photo could not be reconstructed; the message says why and what to do.

    Attributes:
        name: the subject.
        photo: path of its photo.
        stage: the stage that failed; "photo" where the photo cannot be read.
        kind: what is at fault: picture, weights, disk, memory, network, call, or program (with a trace in the
            notes).
    """

    def __init__(self, result: Result) -> None:
        super().__init__(result.message)
        self._result = result
        self.name, self.photo = result.subject, result.photo
        self.stage, self.kind = result.failed or "photo", result.fault or "program"
        if result.trace:
            self.add_note(result.trace)

    def __reduce__(self) -> tuple[type[ReconstructionError], tuple[Result]]:
        return type(self), (self._result,)  # from worker processes


class Failure:
    """What `reconstruct_folder` gives in the place of a person whose photo failed.

    It counts as false. Asking it for what a person has (`gaussians`, `save`, ...) raises its error, so that a
    loop that does not look says which photo it was.

    Attributes:
        error: the ReconstructionError.
        name, photo, stage: as of the error.
        report: as of a person, with `ok` False, `failed`, `fault` and `message`.
    """

    def __init__(self, result: Result, report: dict[str, Any]) -> None:
        self.error, self.report = ReconstructionError(result), report
        self.name, self.photo, self.stage = self.error.name, self.error.photo, self.error.stage

    def __bool__(self) -> Literal[False]:
        return False

    def __getattr__(self, name: str) -> Any:
        if name in _OF_A_PERSON:
            raise self.error
        raise AttributeError(f"a Failure has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"Failure({self.name!r}, stage={self.stage!r}, {str(self.error)!r})"
