"""A person in any pose: what the rig moves, skinned."""

from __future__ import annotations

from dataclasses import dataclass, replace

from turnaround.models.avatar.bones import Bones, pose_bones
from turnaround.models.avatar.face.places import FacePlaces
from turnaround.models.avatar.fading import Fading
from turnaround.models.avatar.skinning import skin_gaussians, skin_points, transforms_of
from turnaround.models.body.model import BodyModel
from turnaround.pipeline.values.rig import Rig
from turnaround.pipeline.values.types import Body, Gaussians, TexturedMesh


@dataclass(frozen=True)
class Avatar:
    """A rig with the mesh and the Gaussians that it moves, both in the rest pose, and the body model of its
    joints."""

    model: BodyModel
    rig: Rig
    mesh: TexturedMesh
    gaussians: Gaussians
    face: FacePlaces | None = None  # where the photo shows it

    def bones(self, body: Body) -> Bones:
        """The bones in the pose of a body of any batch shape `*b`; its shape should be the rig's."""
        return pose_bones(self.model, body, self.rig.joints)

    def posed_mesh(self, body: Body) -> TexturedMesh:
        """The mesh in the pose of one body, world frame."""
        return replace(self.mesh, vertices=skin_points(self.mesh.vertices, self.rig.mesh, self.bones(body)))

    def posed_gaussians(self, body: Body) -> Gaussians:
        """The Gaussians in the pose of one body, world frame; what the photo hides fades in (`fading`)."""
        bones = self.bones(body)
        posed = skin_gaussians(self.gaussians, self.rig.gaussians, bones)
        return self.fading().faded(posed, transforms_of(bones))

    def fading(self) -> Fading:
        """How the last Gaussians fade, which were added."""
        count, rig = len(self.rig.about), self.rig
        own = len(self.gaussians) - count
        photo = self.bones(rig.photo)
        places = skin_points(self.gaussians.means[own:], rig.gaussians[own:], photo)
        return Fading(places, rig.about, photo)
