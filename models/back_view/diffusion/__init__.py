"""ControlNet image-to-image on pictures of people: our own small networks, or diffusers' SD 1.5."""
