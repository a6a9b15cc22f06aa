"""The models and their weights: body, splat renderer, Human Gaussian Model, estimators."""
