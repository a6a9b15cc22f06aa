"""Training of the Human Gaussian Model: people to learn from, bodies as estimators give them, losses."""
