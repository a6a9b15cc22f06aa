"""The render layout of GPS-Gaussian and HGM: `img/ID_CAM/0.jpg`, `mask/ID_CAM/0.png`, `parm/ID_CAM/0_*.npy`,
`depth/ID_CAM/*.png`.

Twelve cameras on a level ring (HGM's renders) become the project's orbit exactly; see data/scans/ring.py.
GPS-Gaussian's own sixteen do not: render the scans themselves instead. Depth files hold 2^15 / depth; a
person's height is 1.8 m, chosen by the renderer, so the body is laid into the depth and its size is the
render's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from turnaround.data.scans.fitting import fitted_body
from turnaround.data.scans.parameters import SourceBody, body_of, read_fields
from turnaround.data.scans.ring import NotARing, Resampler, Ring, ring_of
from turnaround.data.scans.scan import BodyFit, ScanError
from turnaround.data.scans.views import PHOTO_SIZE, body_arrays, camera_arrays, cut_off
from turnaround.data.sets.folders import AZIMUTHS
from turnaround.models.body.model import BodyModel
from turnaround.models.mesh.tsdf import DepthViews, fuse_depth
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.camera import camera_center, orbit_cameras, rays
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_axis_angle

DEPTH_UNIT = 2.0**15
JUMP = 0.08  # metres between neighbouring pixels that are not one surface
REMEDY = "convert the scans themselves with --layout thuman2"


class GPSRenders:
    """Reader of the layout: its pictures, not a scan."""

    def __init__(self, root: Path, source: SourceBody | None = None, *, fits: Path | None = None) -> None:
        missing = [name for name in ("img", "mask", "parm", "depth") if not (root / name).is_dir()]
        if missing:
            raise CallError(
                f"{root}: no {', '.join(missing)} folder; expected the folder that holds img, mask, parm and "
                f"depth (train or val)"
            )
        if fits is None:
            raise CallError(
                "--layout gps-gaussian needs --fits DIR: the THuman2 SMPL-X archive (DIR/ID/smplx_param.pkl) "
                "or DIR/ID.pkl"
            )
        self.root, self.fits, self.source = root, fits, source

    def names(self) -> Sequence[str]:
        """People, by the part of the folders' names before the camera's number."""
        return sorted(
            {folder.name.rsplit("_", 1)[0] for folder in (self.root / "img").iterdir() if "_" in folder.name}
        )

    def arrays(
        self, name: str, model: BodyModel, meta: dict[str, Any], size: int, *, truth: bool
    ) -> dict[str, np.ndarray]:
        """The arrays of a views set for one person; ScanError where a file is missing or the cameras are no
        orbit."""
        folders = sorted(folder.name for folder in (self.root / "img").glob(f"{name}_*"))
        cameras = [self._camera(folder) for folder in folders]
        try:
            ring = ring_of(np.stack([T for _, T in cameras]))
            views = [
                self._view(folders[c], *cameras[c], ring, AZIMUTHS[k], size) for k, c in enumerate(ring.order)
            ]
            photo = self._view(folders[0], *cameras[0], ring, 0, PHOTO_SIZE) if truth else None
        except NotARing as error:
            raise ScanError(f"{self.root / 'parm'}, {name}: {error}; {REMEDY}") from error
        color, mask, depth = (torch.stack(part) for part in zip(*views, strict=True))
        points = world_points(depth)
        fitted = fitted_body(self._fit(name, ring), points[depth > 0].numpy(), model, None)
        found = {"body_from": fitted.how, "body_to_scan_mm": round(fitted.off * 1000, 1)}
        arrays = {
            "rgb": to_bytes(color + 1 - mask[..., None]),
            "mask": to_bytes(mask),
            "depth": depth.numpy().astype(np.float16),
            "normal": np.rint(normals_of(points, depth).numpy() * 127).astype(np.int8),
        }
        meta = meta | found | {"cut_off": cut_off(arrays["mask"][0])}
        arrays |= camera_arrays(size)
        return arrays | body_arrays(fitted.body, model, meta) | (_truth(depth, mask, photo) if photo else {})

    def _camera(self, folder: str) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "4 4"]]:
        """K and T_camera_scan."""
        values = []
        for kind, shape in (("intrinsic", (3, 3)), ("extrinsic", (3, 4))):
            file = self.root / "parm" / folder / f"0_{kind}.npy"
            try:
                value = np.load(file, allow_pickle=False).astype(np.float64)
            except (OSError, ValueError, EOFError) as error:
                raise ScanError(
                    f"{file}: cannot be read ({error}); expected an array {shape} for each folder of img"
                ) from error
            if value.shape not in (shape, (4, 4)) or not np.isfinite(value).all():
                raise ScanError(f"{file}: shape {value.shape}, expected {shape}, all numbers")
            values.append(value)
        T = np.eye(4)
        T[:3] = values[1][:3]
        return values[0][:3, :3], T

    def _view(
        self, folder: str, K: np.ndarray, T: np.ndarray, ring: Ring, azimuth: float, size: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Premultiplied colour (s, s, 3), mask and depth of one camera, as the orbit's camera sees them."""
        image = self._picture(self.root / "img" / folder, "0.jpg", "RGB")
        mask = self._picture(self.root / "mask" / folder, "0.png", "L")[0]
        depth = self._picture(self.root / "depth" / folder, "0.png", "I")[0] * 255 / DEPTH_UNIT
        if image.shape[1:] != mask.shape or mask.shape != depth.shape:
            raise ScanError(
                f"{self.root / 'img' / folder}: img {tuple(image.shape[1:])}, mask {tuple(mask.shape)}, "
                f"depth {tuple(depth.shape)} differ"
            )
        to_orbit = Resampler.of(K, T[:3, :3], ring, azimuth, image.shape[-1], size)
        picture = to_orbit.picture(torch.cat([image * mask, mask[None]]))
        distance = torch.where(depth > 0, 1 / depth.clamp(min=1e-6), 0.0)
        return picture[:3].movedim(0, -1), picture[3], to_orbit.depth(distance, ring.scale)

    @staticmethod
    def _picture(folder: Path, name: str, mode: str) -> Float[Tensor, "c h w"]:
        """[0, 1]; 16-bit values come as value / 255. A depth file may have any name: HGM writes a scale into
        it."""
        file = (
            folder / name
            if (folder / name).is_file()
            else next(iter(sorted(folder.glob(f"*{Path(name).suffix}"))), folder / name)
        )
        try:
            with Image.open(file) as opened:
                values = np.asarray(opened.convert(mode), np.float32)
        except (OSError, Image.DecompressionBombError) as error:
            raise ScanError(f"{file}: cannot be read ({error}); render this person again") from error
        return torch.from_numpy(values.reshape(*values.shape[:2], -1)).movedim(-1, 0) / 255

    def _fit(self, name: str, ring: Ring) -> BodyFit:
        """The pose of the scan, turned into the world; its place is found by fitting."""
        candidates = [self.fits / name / "smplx_param.pkl", self.fits / f"{name}.pkl"]
        file = next((path for path in candidates if path.is_file()), candidates[0])
        body = body_of(file, read_fields(file), self.source.hands if self.source else None, flat_hand=False)
        turn = torch.from_numpy(ring.R_world_scan.astype(np.float32))
        orient = matrix_to_axis_angle(turn @ axis_angle_to_matrix(body.global_orient))
        return BodyFit(file, replace(body, global_orient=orient, transl=torch.zeros(3)), "smplx")


def to_bytes(values: Float[Tensor, "*b"]) -> np.ndarray:
    """[0, 1] to uint8."""
    return (values.clamp(0, 1) * 255).round().byte().numpy()


def world_points(depth: Float[Tensor, "12 s s"]) -> Float[Tensor, "12 s s 3"]:
    """The surface point of each pixel; meaningless where the depth is 0."""
    cameras = orbit_cameras(AZIMUTHS, depth.shape[-1])
    return camera_center(cameras)[:, None, None] + depth[..., None] * rays(cameras)


def normals_of(points: Float[Tensor, "v s s 3"], depth: Float[Tensor, "v s s"]) -> Float[Tensor, "v s s 3"]:
    """Unit normals towards the camera from neighbouring pixels; 0 at the edges of surfaces."""
    padded = F.pad(points.movedim(-1, 1), (1, 1, 1, 1), mode="replicate")
    across, down = (
        padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2],
        padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1],
    )
    normal = F.normalize(torch.cross(down, across, dim=1), dim=1).movedim(1, -1)
    window = F.pad(depth, (1, 1, 1, 1))
    beside = (window[:, 1:-1, 2:], window[:, 1:-1, :-2], window[:, 2:, 1:-1], window[:, :-2, 1:-1])
    jump = torch.stack([(neighbour - depth).abs() for neighbour in beside]).amax(0)
    return torch.where((jump < JUMP)[..., None] & (depth > 0)[..., None], normal, 0.0)


def _truth(depth: Tensor, mask: Tensor, photo: tuple[Tensor, Tensor, Tensor]) -> dict[str, np.ndarray]:
    """The surface that the depth views agree on, and the input picture with straight alpha."""
    cameras = orbit_cameras(AZIMUTHS, depth.shape[-1])
    surface = fuse_depth(DepthViews(cameras, torch.zeros(*depth.shape, 3), mask, depth, depth))
    color, alpha = photo[0] / photo[1][..., None].clamp(min=1e-3), photo[1][..., None]
    return {
        "vertices": surface.vertices.astype(np.float32),
        "faces": surface.faces.astype(np.int32),
        "photo": to_bytes(torch.cat([color, alpha], -1)),
    }
