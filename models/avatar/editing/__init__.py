"""Changes to a rigged person: shape, expression, colours, pose."""
