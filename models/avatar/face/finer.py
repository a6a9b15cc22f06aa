"""Smaller triangles on a face: those of a whole person are as long as an eye is wide, and no lid closes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree

from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.binding.surface import dense, strongest_skin
from turnaround.pipeline.formats.glb import shared_normals
from turnaround.pipeline.values.rig import SkinWeights
from turnaround.pipeline.values.types import TexturedMesh

EYES = 19  # number of the first landmark of eyes and lips: those before are brows and nose
# metres from landmarks of eyes and lips, from any landmark, and how long edges there may be
NEAR, SHORT = 0.008, 0.003
ABOUT, MEDIUM = 0.02, 0.007
ROUND = 0.5  # of the way to the tangent planes of both ends: an edge of a ball stays on the ball
ROUNDS = 6  # of halving at most


def with_fine_face(avatar: Avatar) -> Avatar:
    """The person with edges of the mesh halved near the landmarks of their face; without a face, the same.

    Vertices keep their numbers, new ones follow. New ones lie on the arc between both ends, so that light
    finds the face as round as before; colours, texture and weights are means.
    """
    if avatar.face is None:
        return avatar
    mesh, landmarks = avatar.mesh, avatar.face.on(avatar.mesh.vertices)
    eyes = landmarks[avatar.face.numbers >= EYES]
    regions = [(KDTree(eyes), NEAR, SHORT), (KDTree(landmarks), ABOUT, MEDIUM)]
    vertices, faces = mesh.vertices.double().numpy(), mesh.faces.numpy()
    values = np.concatenate([mesh.colors.numpy(), mesh.uv.numpy(), dense(avatar.rig.mesh)], 1)
    for _ in range(ROUNDS):
        edges, of_faces = edges_of(faces)
        long = np.any([too_long(vertices[edges], *region) for region in regions], 0)
        if not long.any():
            break
        middle = arcs(vertices, faces, edges[long])
        number = np.full(len(edges), -1)
        number[long] = len(vertices) + np.arange(int(long.sum()))
        faces = halved(faces, number[of_faces])
        vertices = np.concatenate([vertices, middle])
        values = np.concatenate([values, values[edges[long]].mean(1)])
    made = TexturedMesh(
        torch.from_numpy(vertices.astype(np.float32)),
        torch.from_numpy(faces),
        torch.from_numpy(values[:, :3].astype(np.float32)),
        torch.from_numpy(values[:, 3:5].astype(np.float32)),
        mesh.texture,
    )
    added = strongest_skin(values[len(mesh.vertices) :, 5:])
    own = avatar.rig.mesh
    skin = SkinWeights(torch.cat([own.bones, added.bones]), torch.cat([own.weights, added.weights]))
    return replace(avatar, mesh=made, rig=replace(avatar.rig, mesh=skin))


def edges_of(faces: Int[np.ndarray, "f 3"]) -> tuple[Int[np.ndarray, "e 2"], Int[np.ndarray, "f 3"]]:
    """All edges, and those of each face: from its first corner to its second, and so on."""
    pairs = np.sort(np.stack([faces, np.roll(faces, -1, 1)], -1).reshape(-1, 2), 1)
    edges, index = np.unique(pairs, axis=0, return_inverse=True)
    return edges, index.reshape(-1, 3)


def too_long(
    ends: Float[np.ndarray, "e 2 3"], landmarks: KDTree, reach: float, most: float
) -> Bool[np.ndarray, " e"]:
    """Which edges come within `reach` of a landmark and are longer than `most`, metres."""
    length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    return (length > most) & (landmarks.query(ends.mean(1))[0] - length / 2 < reach)


def arcs(
    vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], edges: Int[np.ndarray, "e 2"]
) -> Float[np.ndarray, "e 3"]:
    """Middles of edges, lifted to the arc that stands on the normals of both ends (Phong tessellation,
    Boubekeur and Alexa 2008)."""
    normals = shared_normals(vertices, faces)
    middle = vertices[edges].mean(1)
    lift = np.zeros_like(middle)
    for end in edges.T:
        lift += ((middle - vertices[end]) * normals[end]).sum(1, keepdims=True) * normals[end]
    return middle - ROUND / 2 * lift


def halved(faces: Int[np.ndarray, "f 3"], middle: Int[np.ndarray, "f 3"]) -> Int[np.ndarray, "g 3"]:
    """Faces cut at the middles of some of their edges.

    middle: the new vertex on the edges of `edges_of`, -1 where an edge stays whole.
    """
    count = (middle >= 0).sum(1)
    found = [faces[count == 0]]
    for k in range(3):  # turned so that the first edge is the one that tells
        a, b, c = np.roll(faces, -k, 1).T
        ab, bc, ca = np.roll(middle, -k, 1).T
        one = (count == 1) & (ab >= 0)
        found += [np.stack(each, 1)[one] for each in ((a, ab, c), (ab, b, c))]
        two = (count == 2) & (ca < 0)
        found += [np.stack(each, 1)[two] for each in ((ab, b, bc), (a, ab, bc), (a, bc, c))]
    three = count == 3
    (a, b, c), (ab, bc, ca) = faces[three].T, middle[three].T
    found += [np.stack(each, 1) for each in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    return np.concatenate(found)
