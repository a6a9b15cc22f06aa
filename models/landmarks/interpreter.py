"""Run one of MediaPipe's networks: a TensorFlow Lite file, one interpreter a thread, one core each."""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from turnaround.models import zoo

_LOADING = threading.Lock()


class Network:
    """A fetched network: pixels in, outputs by name; each thread that calls it has its own interpreter."""

    def __init__(self, file: Path) -> None:
        # read, not mapped: a mapped file that changes would crash the process
        self._content = file.read_bytes()
        self._local = threading.local()

    def __call__(self, pixels: Float32[np.ndarray, "h w 3"]) -> dict[str, np.ndarray]:
        """Compute the outputs (float32, no batch dimension) for one picture, by the names in the file."""
        interpreter = self._interpreter()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels[None])
        interpreter.invoke()
        details = interpreter.get_output_details()
        return {output["name"]: interpreter.get_tensor(output["index"])[0] for output in details}

    def _interpreter(self) -> Any:
        if not hasattr(self._local, "interpreter"):
            from ai_edge_litert.interpreter import Interpreter

            with _LOADING:
                interpreter = Interpreter(model_content=self._content, num_threads=1)
                interpreter.allocate_tensors()
            self._local.interpreter = interpreter
        return self._local.interpreter


def load_network(name: str) -> Network:
    """Load a network by its name in `models/zoo.py`; each is read once a process.

    Raises:
        MissingWeight: it was not fetched, or another file lies in its place.
    """
    return _load(name, zoo.digest(name))


@lru_cache(maxsize=16)
def _load(name: str, _digest: str) -> Network:
    return Network(zoo.path(name))
