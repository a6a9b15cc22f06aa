"""Silhouettes of a body mesh: masks, visible outlines tied to vertices, and normal maps."""

from turnaround.models.mesh.silhouette.contour import MeshContour, contour_points, mask_contour, mesh_contour
from turnaround.models.mesh.silhouette.coverage import body_masks
from turnaround.models.mesh.silhouette.edges import MeshEdges, mesh_edges
from turnaround.models.mesh.silhouette.normal_difference import normal_difference
from turnaround.models.mesh.silhouette.normals import normal_maps, vertex_normals, visible_faces

__all__ = [
    "MeshContour",
    "MeshEdges",
    "body_masks",
    "contour_points",
    "mask_contour",
    "mesh_contour",
    "mesh_edges",
    "normal_difference",
    "normal_maps",
    "vertex_normals",
    "visible_faces",
]
