"""The body in a picture: the embedded estimator, files of other estimators, and the training of ours."""
