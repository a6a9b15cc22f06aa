"""Normals of the clothed person, front and back, from the photo and the body's normals (ICON, Xiu et al.
2022, section 3.1).

Both sides lie on the front picture's pixel grid: the back, seen by the camera at 180 degrees, is mirrored
left to right so that it covers the front silhouette. Vectors are in the world frame, which is the input
camera's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models import precision, zoo
from turnaround.models.body.model import BodyModel
from turnaround.models.convnet import UNet, for_inference
from turnaround.models.mesh.silhouette import normal_maps
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import Body, TensorRecord, View

SIZE = 256  # pixels


@dataclass(frozen=True)
class NormalPair(TensorRecord):
    """Normal maps of the two sides, world frame; unit vectors, zero where there is nobody."""

    front: Float[Tensor, "*b h w 3"]  # seen by the input camera
    back: Float[
        Tensor, "*b h w 3"
    ]  # seen by the camera at 180 degrees, in that camera's own pixels (not mirrored)


class NormalNetwork(nn.Module):
    """RGB over white, mask, body normals of both sides -> clothed normals of both sides, as a change of the
    body's."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = UNet(10, 6, (32, 64, 96, 160, 192))

    def forward(
        self, image: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"], body: Float[Tensor, "b 6 h w"]
    ) -> Float[Tensor, "b 6 h w"]:
        """Front and back on the front's grid; where the body is not seen, the base is a normal towards each
        camera.

        It is trained with bodies that are wrong and with none at all (zeros), so that it corrects the body by
        the photo.
        """
        towards = torch.tensor([0.0, 0, -1, 0, 0, 1], device=body.device).view(1, 6, 1, 1)
        seen = (
            body.unflatten(1, (2, 3)).square().sum(2, keepdim=True).expand(-1, -1, 3, -1, -1).flatten(1, 2)
            > 0.25
        )
        base = torch.where(seen, body, towards)
        change = self.unet(torch.cat([(image - 0.5) * 2, mask, body], 1))
        return F.normalize((base + change).unflatten(1, (2, 3)), dim=2).flatten(1, 2)


def load_normals(name_or_path: str = "normals", device: torch.device | str = "cpu") -> NormalNetwork:
    """The trained network for inference, embedded or a file of the same architecture; loaded once a process
    and digest."""
    return _load(name_or_path, zoo.digest(name_or_path), str(device))


@lru_cache(maxsize=2)
def _load(name_or_path: str, _digest: str, device: str) -> NormalNetwork:
    state, _ = zoo.load_state(name_or_path)
    network = NormalNetwork()
    network.load_state_dict(state)
    for_inference(network.eval())
    return network.to(device)


@torch.no_grad()
def body_normals(model: BodyModel, body: Body, size: int = SIZE) -> NormalPair:
    """Normal maps of one naked body from the canonical camera and from behind."""
    output = model(body)
    maps = normal_maps(output.vertices, model.skin_faces.cpu().numpy(), orbit_cameras([0.0, 180.0], size))
    return NormalPair(maps[0], maps[1])


def on_front_grid(pair: NormalPair) -> Float[Tensor, "*b 6 h w"]:
    """Both sides as channels, the back mirrored so that it lies under the front."""
    return torch.cat([pair.front, pair.back.flip(-2)], -1).movedim(-1, -3)


def from_front_grid(channels: Float[Tensor, "*b 6 h w"]) -> NormalPair:
    """The inverse of `on_front_grid`."""
    front, back = channels.movedim(-3, -1).split(3, -1)
    return NormalPair(front, back.flip(-2))


@torch.no_grad()
def predict_normals(
    network: NormalNetwork, view: View, body: NormalPair | None, size: int = SIZE
) -> NormalPair:
    """Clothed normals, zero off the view's silhouette (mirrored for the back).

    Args:
        view: the input picture over white; resized to the maps.
        body: `body_normals` of the current estimate; None: from the photo alone.
        size: pixels of the result where `body` is None.
    """
    device = next(network.parameters()).device
    shape = (size, size) if body is None else tuple(body.front.shape[:2])
    pixels = torch.cat([view.image, view.mask[..., None]], -1).movedim(-1, 0)[None].to(device)
    pixels = F.interpolate(pixels, shape, mode="bilinear", antialias=True, align_corners=False)
    maps = torch.zeros(1, 6, *shape, device=device) if body is None else on_front_grid(body)[None].to(device)
    channels = precision.run("normals", network, pixels[:, :3], pixels[:, 3:], maps)[0]
    return from_front_grid(torch.where(pixels[0, 3:] > 0.5, channels, torch.zeros_like(channels)))


def normal_model(
    network: NormalNetwork, view: View, model: BodyModel, size: int = SIZE
) -> Callable[[Body | None], Float[Tensor, "2 s s 3"]]:
    """The function that the refinement calls: body (None: the photo alone) -> front and back, world frame."""

    def normals(body: Body | None) -> Float[Tensor, "2 s s 3"]:
        pair = predict_normals(network, view, None if body is None else body_normals(model, body, size), size)
        return torch.stack([pair.front, pair.back])

    return normals


def load_normal_maps(front: Float[Tensor, "h w 3"], back: Float[Tensor, "h w 3"]) -> NormalPair:
    """Normals from two pictures made elsewhere (ICON's, ECON's or one's own), for the `file` provider.

    Args:
        front, back: colours n * 0.5 + 0.5 with x right, y up and z towards the viewer, each seen from its own
        side,
            black or white or 0.5-grey where there is nobody.

    Raises:
        ValueError: pictures of different sizes, or colours that are not normals (lengths far from one).
    """
    if front.shape != back.shape or front.shape[-1] != 3:
        raise CallError(
            f"normal pictures must both be (h, w, 3), got {tuple(front.shape)} and {tuple(back.shape)}"
        )
    sides = []
    for name, colors, axes in (("front", front, (1.0, -1.0, -1.0)), ("back", back, (-1.0, -1.0, 1.0))):
        vectors = colors * 2 - 1
        flat = (colors < 0.03).all(-1) | (colors > 0.97).all(-1) | ((colors - 0.5).abs() < 0.03).all(-1)
        lengths = vectors[~flat].norm(dim=-1)
        if not len(lengths) or (lengths - 1).abs().median() > 0.15:
            raise CallError(
                f"the {name} picture is not a normal map: vectors 2 * colour - 1 have a median length of "
                f"{float(lengths.median()) if len(lengths) else 0:.2f}, expected 1; save normals as n * "
                f"0.5 + 0.5"
            )
        world = F.normalize(vectors, dim=-1) * torch.tensor(axes)
        sides.append(torch.where(flat[..., None], torch.zeros(()), world))
    return NormalPair(*sides)


def disturbed(body: Body, generator: torch.Generator, amount: float) -> Body:
    """A body as an estimator would give it: wrong mostly in depth, where bent knees, lean and reach are hard
    to see.

    Joints turn by about 0.05 * amount rad each, and by three times that about the picture's x axis at hips,
    knees, spine and shoulders together; an amount of 1 is about 65 mm.
    """

    def noise(like: Tensor, scale: float) -> Tensor:
        return torch.randn(like.shape, generator=generator) * scale * amount

    pose = body.body_pose + noise(body.body_pose, 0.05)
    swing = torch.zeros_like(pose)
    for joints in ((0, 3), (1, 4), (2, 5, 8), (15, 17), (16, 18)):  # body_pose indices: legs, spine, arms
        turn = torch.randn(len(joints), generator=generator) * 0.12 * amount
        swing[list(joints), 0] = turn * torch.tensor([1.0, -1.0, 1.0])[: len(joints)]
    return dataclasses.replace(
        body,
        body_pose=pose + swing,
        global_orient=body.global_orient + noise(body.global_orient, 0.05),
        transl=body.transl + noise(body.transl, 0.015),
        betas=body.betas + noise(body.betas, 0.5),
    )
