"""How well each subject's body fits its photo: what the stages have found out, read from the store."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from turnaround.pipeline.store.runs import LinkedRuns
from turnaround.pipeline.store.store import Record, StoreError
from turnaround.pipeline.values.fit import Cause, Fit, causes_of_json

__all__ = ["Cause", "Fit", "fit_of"]

log = logging.getLogger(__name__)

ANOTHER = "use another photo, or give the body (NAME.smplx.npz beside the photo)"
_TELL = (("prepare", "doubts"), ("estimate", "doubts"), ("refine", "trace"))  # stage and output, in order


def fit_of(store: LinkedRuns, subject: str) -> Fit | None:
    """Read the fit of a subject; None where nothing was made yet that tells.

    Only what the subject's links lead to is read: whether it is stale, `status` tells. Before `refine` a fit
    that is poor already is told, and a good one is not yet.
    """
    found: list[Cause] = []
    refined = False
    for stage, output in _TELL:
        record = store.linked(subject, stage)
        if record is None or output not in record.manifest["outputs"]:
            continue
        refined = refined or stage == "refine"
        found += _causes(record, output)
    fit = Fit.of(found)
    return fit if refined or fit.causes else None


def _causes(record: Record, output: str) -> Iterator[Cause]:
    """Those that a stage has kept; of a version that kept only sentences, these."""
    try:
        kept: Any = record.load(output)
    except (OSError, ValueError, RecursionError, StoreError) as error:
        log.warning("%s tells nothing of the fit (%s)", record.file(output), error)
        return
    if not isinstance(kept, dict):
        return
    yield from causes_of_json(kept.get("causes"))
    if "causes" not in kept:
        poor = kept.get("poor_fit")
        reasons = poor if isinstance(poor, list) else []
        yield from (Cause(f"fit_{k}", str(reason), ANOTHER) for k, reason in enumerate(reasons))
