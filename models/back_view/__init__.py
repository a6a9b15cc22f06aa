"""The view from behind: the user's own, the photo's cloth, diffusion after that; and the training of ours."""
