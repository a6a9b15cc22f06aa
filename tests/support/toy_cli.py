"""The command line over the toy stages, for tests that need a process of its own: `python
tests/support/toy_cli.py run ...`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]

if __name__ == "__main__":
    import toy

    from turnaround import stages
    from turnaround.models import zoo

    stages.classes = lambda: (toy.Count, toy.Share, toy.Label)
    zoo.digest = toy.WEIGHTS.__getitem__

    from turnaround.flows.cli.app import main

    main()
