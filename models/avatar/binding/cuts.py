"""Limbs that a surface has grown together with what they touch, cut apart, and the holes closed."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from turnaround.models.avatar.binding.transfer import Carried
from turnaround.models.avatar.bones import BONE_NAMES

FAR = 0.03  # metres on the body at rest,
STRETCH = 3.0  # and so many times an edge's length, beyond which its ends belong to different limbs
SURE = 0.15  # trust in both ends
BETWEEN_LEGS = 0.3  # trust needed between the legs: cloth that hangs free there belongs to both,
HEM = 0.35  # metres between what it hangs on at rest: a foot before the other thigh is farther


def apart(
    carried: Carried, edges: Int[np.ndarray, "e 2"], lengths: Float[np.ndarray, " e"]
) -> Bool[np.ndarray, " e"]:
    """Edges whose ends only touch: they lie on places of the body that are far apart when it is at rest.

    Fingers that have grown together stay so, since they are near at rest: a mitten is better than a torn
    hand.
    """
    a, b = edges.T
    distance = np.linalg.norm(carried.rest_foot[a] - carried.rest_foot[b], axis=1)
    legs = carried.weights @ _LEGS
    both_legs = (np.abs(legs[a] - legs[b]) > 1) & (distance < HEM)
    sure = np.minimum(carried.trust[a], carried.trust[b]) > np.where(both_legs, BETWEEN_LEGS, SURE)
    return (distance > FAR + STRETCH * lengths) & sure


def _legs() -> Float[np.ndarray, " j"]:
    """1 for the bones of the left leg, -1 for those of the right."""
    sides = {"left": 1.0, "right": -1.0}
    parts = {
        f"{side}_{joint}": sign for side, sign in sides.items() for joint in ("hip", "knee", "ankle", "foot")
    }
    return np.array([parts.get(name, 0.0) for name in BONE_NAMES])


_LEGS = _legs()


def rims(faces: Int[np.ndarray, "f 3"], kept: Bool[np.ndarray, " f"]) -> list[Int[np.ndarray, " _"]]:
    """Closed rims of the holes that faces leave which are not kept, in the direction of the faces that would
    close
    them. A rim that touches itself comes in pieces; one that runs into the edge of an open surface is left
    out."""
    gone = faces[~kept]
    directed = np.concatenate([gone[:, [0, 1]], gone[:, [1, 2]], gone[:, [2, 0]]])
    inside = {(int(a), int(b)) for a, b in directed}
    following: dict[int, list[int]] = {}
    for a, b in sorted(inside):
        if (b, a) not in inside:  # its neighbour has stayed
            following.setdefault(a, []).append(b)
    found = []
    while following:
        start = next(iter(following))
        path, place = [start], {start: 0}
        while path[-1] in following:
            ways = following[path[-1]]
            step = ways.pop()
            if not ways:
                del following[path[-1]]
            if step in place:
                loop = path[place[step] :]
                if len(loop) >= 3:
                    found.append(np.array(loop))
                for vertex in loop:
                    del place[vertex]
                path = path[: len(path) - len(loop)]
                if not path:
                    break
                path.append(step)
                place[step] = len(path) - 1
                continue
            place[step] = len(path)
            path.append(step)
    return found
