"""Normal pictures keep the normals, to the precision of 8 bits."""

from __future__ import annotations

import torch

from turnaround.pipeline.formats.codecs import load_image, save_image
from turnaround.pipeline.formats.normal_image import decode_normals, encode_normals
from turnaround.pipeline.values.camera import orbit_cameras


def test_round_trip_through_a_file(tmp_path):
    camera = orbit_cameras([150.0], 8)[0]
    normals = torch.nn.functional.normalize(
        torch.randn(8, 8, 3, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    normals[0, :3] = 0
    save_image(encode_normals(normals, camera), tmp_path / "n.png")
    found, alpha = decode_normals(load_image(tmp_path / "n.png"), camera)
    assert torch.equal(alpha > 0, normals.norm(dim=-1) > 0)
    torch.testing.assert_close(found, normals, atol=0.02, rtol=0)


def test_what_faces_the_camera_is_blue():
    for azimuth in (0.0, 90.0, 180.0):
        camera = orbit_cameras([azimuth], 1)[0]
        facing = -camera.T_camera_world[2, :3].view(1, 1, 3)
        torch.testing.assert_close(
            encode_normals(facing, camera)[0, 0], torch.tensor([0.5, 0.5, 1.0, 1.0]), atol=1e-6, rtol=0
        )
    up = torch.tensor([[[0.0, -1, 0]]])  # y points down in the world
    torch.testing.assert_close(encode_normals(up, camera)[0, 0, 1], torch.tensor(1.0))
