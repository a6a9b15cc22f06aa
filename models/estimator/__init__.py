"""The body in a picture: the embedded estimator, files of other estimators, and the training of ours."""

from turnaround.models.estimator.given.body_file import UnknownBody, read_body
from turnaround.models.estimator.model import BodyEstimator, EstimatorConfig, Prediction
from turnaround.models.estimator.predict import estimate_body, load_estimator, transfer_shape

__all__ = [
    "BodyEstimator",
    "EstimatorConfig",
    "Prediction",
    "UnknownBody",
    "estimate_body",
    "load_estimator",
    "read_body",
    "transfer_shape",
]
