"""What the page changes about a person beside turning their bones: what fades in, and the face."""
