"""The models and their weights: body, splat renderer, Human Gaussian Model, estimators."""

import os

# open3d brings a TBB library, which numba would take where it was imported first and leave where not: always
# the same threads
os.environ.setdefault("NUMBA_THREADING_LAYER_PRIORITY", "omp tbb workqueue")
