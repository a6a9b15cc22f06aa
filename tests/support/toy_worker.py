"""A worker with a work folder of its own and a store behind it: `python tests/support/toy_worker.py WORK URL
PHOTO [pause]`; says what it made."""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]

if __name__ == "__main__":
    import toy

    from turnaround.pipeline.graph import Subject, ordered, run_stage
    from turnaround.pipeline.photos.source import Photo
    from turnaround.pipeline.store.mirror import open_store
    from turnaround.pipeline.store.remote import Remote

    work, url, photo, *pause = sys.argv[1:]
    logging.basicConfig(level=logging.WARNING)
    if pause:
        put = Remote._put

        def slowly(self: Remote, name: str, content: bytes) -> None:
            put(self, name, content)
            sys.stdout.write(f"put {name}\n")
            sys.stdout.flush()
            time.sleep(float(pause[0]))

        Remote._put = slowly  # type: ignore[method-assign]
    subject = Subject.open(Photo.at(Path(photo)), open_store(Path(work), url), toy.WEIGHTS.__getitem__)
    stages = ordered([toy.Count(), toy.Share(), toy.Label()])
    fresh = {stage.name: run_stage(stage, subject, toy.on("cpu")).fresh for stage in stages}
    sys.stdout.write(json.dumps(fresh) + "\n")
