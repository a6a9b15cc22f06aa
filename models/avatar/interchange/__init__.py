"""A rigged person on the way to other programs: motions, faces and the ground as files know them."""
