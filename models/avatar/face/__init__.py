"""The face of a rigged person: where it is on them, and how it follows the body's expressions."""
