"""Packages that cost seconds or hundreds of megabytes to import: what must be quick does without them."""

HEAVY_PACKAGES = frozenset(
    {
        "diffusers",
        "fast_simplification",
        "imageio",
        "numba",
        "prefect",
        "scipy",
        "skimage",
        "smplx",
        "torch",
        "transformers",
        "trimesh",
        "viser",
    }
)
