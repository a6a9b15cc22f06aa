"""How well each subject's body fits its photo: what the stages have found out, read from the store."""

from __future__ import annotations

from turnaround.pipeline.store.store import Record, Store
from turnaround.pipeline.values.fit import Cause, Fit

__all__ = ["Cause", "Fit", "fit_of"]

ANOTHER = "use another photo, or give the body (NAME.smplx.npz beside the photo)"


def fit_of(store: Store, subject: str) -> Fit | None:
    """Read the fit of a subject; None where nothing was made yet that tells.

    Only what the subject's links lead to is read: whether it is stale, `status` tells.
    """
    refine = store.linked(subject, "refine")
    return None if refine is None else Fit.of(_of_trace(refine))


def _of_trace(record: Record) -> list[Cause]:
    """Causes that `refine` found."""
    poor = record.load("trace").get("poor_fit", [])
    return [Cause(f"fit_{k}", str(reason), ANOTHER) for k, reason in enumerate(poor)]
