"""The models and their weights: body, splat renderer, Human Gaussian Model, estimators."""

import os

# numba would take a TBB library where another package brought one: always the same threads
os.environ.setdefault("NUMBA_THREADING_LAYER_PRIORITY", "omp tbb workqueue")
