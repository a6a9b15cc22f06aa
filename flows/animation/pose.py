"""`pose`: a subject in one new pose, as a picture, Gaussians or a mesh."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from turnaround.flows.animation.edits import Edits, rgb
from turnaround.flows.animation.rigged import RiggedPerson
from turnaround.flows.animation.written import Written, target
from turnaround.flows.show.suggestions import meant
from turnaround.pipeline.errors import CallError, FormatError, MissingFile
from turnaround.pipeline.files import write_atomic

if TYPE_CHECKING:
    from torch import Tensor

    from turnaround.models.avatar.editing.joints import Angles
    from turnaround.pipeline.values.types import Body, Gaussians, TexturedMesh

FORMATS = ("png", "ply", "glb")
BASES = ("photo", "t", "a")
AROUND = tuple(45.0 * k for k in range(8))  # degrees of the sheet's pictures


@dataclass(frozen=True)
class Pose:
    """What a person shall look like."""

    joints: Mapping[str, Angles] = field(default_factory=dict)  # joint -> degrees, one or (x, y, z)
    base: str = "photo"  # where joints that are not named stay: photo, t or a
    body: Body | None = None  # in place of a base: its pose
    edits: Edits = field(default_factory=Edits)

    def __post_init__(self) -> None:
        """CallError for a joint that does not exist, or an angle that is no number."""
        from turnaround.models.body.skeleton import JOINT_NAMES

        if self.base not in BASES:
            raise CallError(f"--from {self.base}: expected one of {', '.join(BASES)}")
        for name, angles in self.joints.items():
            if name not in JOINT_NAMES:
                known = ", ".join(JOINT_NAMES[:25])
                raise CallError(
                    f"no joint is called {name!r}{meant(name, JOINT_NAMES)}; there are {known}, and the "
                    "fingers as left_index1"
                )
            numbers = angles if isinstance(angles, tuple) else (angles,)
            if len(numbers) not in (1, 3) or not all(map(math.isfinite, numbers)):
                raise CallError(f"{name}: expected one angle, or three, in degrees; got {angles}")


@dataclass(frozen=True)
class Posed:
    """A person in a pose, world frame; made by `Person.pose`."""

    person: RiggedPerson
    body: Body
    mesh: TexturedMesh
    gaussians: Gaussians
    about: Mapping[str, Any]

    def save(
        self, path: Path | str, *, size: int = 512, azimuth: float | None = None, background: str = "white"
    ) -> Path:
        """Write .png (from eight sides, or from one azimuth in degrees), .ply (Gaussians) or .glb (mesh)."""
        file = Path(path)
        to = file.suffix[1:].lower()
        if to not in FORMATS:
            raise CallError(f"{file}: expected a name that ends as one of .{', .'.join(FORMATS)}")
        try:
            write_atomic(file, self._content(to, size, azimuth, background))
        except OSError as error:
            raise CallError(f"{file} cannot be written ({error.strerror}); choose another") from error
        return file

    def picture(self, *, size: int = 512, azimuth: float | None = None, background: str = "white") -> Tensor:
        """The sheet of eight sides, or one picture: (h, w, 3), sRGB in [0, 1]."""
        from turnaround.models.splat.fine import rasterize_fine
        from turnaround.pipeline.formats.preview import contact_sheet
        from turnaround.pipeline.values.close_orbit import close_orbit

        azimuths = AROUND if azimuth is None else (azimuth,)
        cameras = close_orbit(self.mesh.vertices, azimuths, size)
        drawn = rasterize_fine(self.gaussians, cameras, background=rgb(background)).rgb.clamp(0, 1)
        return drawn[0] if azimuth is not None else contact_sheet(list(drawn), columns=4)

    def _content(self, to: str, size: int, azimuth: float | None, background: str) -> bytes:
        import io
        import json

        from PIL.PngImagePlugin import PngInfo

        from turnaround.pipeline.formats import ply, textured_glb
        from turnaround.pipeline.formats.preview import to_pil

        said = json.dumps(self.about, sort_keys=True, separators=(",", ":"))
        if to == "ply":
            return ply.encode(self.gaussians, comments=(said,))
        if to == "glb":
            return textured_glb.encode(self.mesh, extras=self.about)
        info, stream = PngInfo(), io.BytesIO()
        info.add_text("Comment", said)
        picture = self.picture(size=size, azimuth=azimuth, background=background)
        to_pil(picture).save(stream, "png", pnginfo=info)
        return stream.getvalue()


def posed(person: RiggedPerson, pose: Pose) -> Posed:
    """Bring a person into a pose."""
    from dataclasses import replace
    from importlib.metadata import version

    from turnaround.flows.exports.gaussians import scaled
    from turnaround.models.avatar.editing.joints import Base, start, with_joints

    avatar, scale = pose.edits.applied(person.avatar)
    base = (
        start(avatar.rig, cast("Base", pose.base))
        if pose.body is None
        else _with_shape(pose.body, avatar.rig.rest)
    )
    body = with_joints(base, pose.joints)
    mesh, gaussians = avatar.posed_mesh(body), avatar.posed_gaussians(body)
    joints = {name: list(value) if isinstance(value, tuple) else value for name, value in pose.joints.items()}
    about = {
        "program": f"turnaround {version('turnaround')}", "rigs": {person.name: person.key}, "joints": joints,
        "from": pose.base if pose.body is None else "body",
    }  # fmt: skip
    about |= {"changed": pose.edits.as_json()} if pose.edits != Edits() else {}
    mesh = replace(mesh, vertices=mesh.vertices * scale)
    return Posed(person, body, mesh, scaled(gaussians, scale), about)


def _with_shape(body: Body, rest: Body) -> Body:
    """A given pose with the person's shape."""
    from dataclasses import replace

    return replace(body, betas=rest.betas)


def read_pose(path: Path) -> Body:
    """The body of a file, SMPL-X as .npz, .json or .pkl; its shape is not the person's and is not used."""
    from turnaround.models.estimator.given.body_file import UnknownBody, read_body, upright
    from turnaround.models.estimator.given.placing import turn_upright

    try:
        body, _ = read_body(path.read_bytes())
    except FileNotFoundError as error:
        raise MissingFile(f"--body {path}: there is no such file") from error
    except (UnknownBody, OSError) as error:
        raise FormatError(f"--body {path}: {error}") from error
    return body if upright(body) else turn_upright(body)


def read_joints(texts: Sequence[str]) -> dict[str, Angles]:
    """Understand `left_elbow=60` and `right_shoulder=0,0,40`."""
    found: dict[str, Angles] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            numbers = tuple(float(part) for part in value.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) == 1:
            found[name.strip()] = numbers[0]
        elif len(numbers) == 3:
            found[name.strip()] = numbers  # type: ignore[assignment]
        else:
            raise CallError(f"--set {text}: expected JOINT=DEGREES or JOINT=X,Y,Z, as left_elbow=60")
    return found


def write_pose(
    made: Posed, to: str, out: Path | None, size: int, azimuth: float | None, background: str
) -> Written:
    """Write a pose to a file, NAME-pose.<to> by default."""
    if to not in FORMATS:
        raise CallError(f"--to {to}: expected one of {', '.join(FORMATS)}")
    path = target(out, f"{made.person.name}-pose", to, FORMATS)
    if path.suffix.lower() != f".{to}":
        raise CallError(f"--out {path}: expected a name that ends as .{to}")
    made.save(path, size=size, azimuth=azimuth, background=background)
    return Written(path, (made.person.name,), to, 1, 0.0)
