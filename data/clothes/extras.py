"""What is worn over or beside the clothes: coats, scarves, gloves, caps, hoods, stockings; and beards and
cropped hair.

Coats are cut out of the helper meshes (tights and skirt), the others are shells cut out of the body's own
surface. What is clothing here belongs to the training people, as everything that is cut out does; beards and
cropped hair grow on all.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float32
from scipy.sparse import csr_matrix, vstack
from scipy.spatial import KDTree

from turnaround.data.clothes import fabrics, garments, skins
from turnaround.data.clothes.base_mesh import Skin
from turnaround.data.clothes.closet import SLEEVES, Closet
from turnaround.data.clothes.fabrics import Rng, Texture
from turnaround.data.clothes.garments import Field, Garment
from turnaround.data.clothes.outfits import Worn, everywhere
from turnaround.models.body.skeleton import JOINT_INDEX

COAT_HEMS = ("hip", "thigh", "knee", "calf")
OPENINGS = (0.0, 0.02, 0.05, 0.09)  # metres from the middle to each front edge; 0 is buttoned up
Points = Float32[np.ndarray, "v 3"]


def embellished(rng: Rng, closet: Closet, outfit: list[Worn], male: bool, child: bool) -> list[Worn]:
    """An outfit with some of the extras; the order stays from the skin outwards."""
    shares = rng.random(8)
    hair, worn = skins.hair_color(rng), list(outfit)
    bald = not any(item.garment.role in ("hair", "hat") for item in worn)
    short = bald or all(item.name.startswith("short") for item in worn if item.garment.role == "hair")
    if closet.allows_cut_outs:
        bare_legs = any("skirt" in item.name for item in worn)
        if bare_legs and shares[0] < 0.5:
            worn.insert(0, _shell(rng, closet, "stockings", fabrics.fabric(rng, 64), 0.0012))
        if shares[1] < 0.16:
            worn += _coat(rng, closet)
        if shares[2] < 0.06:
            worn.append(_shell(rng, closet, "scarf", fabrics.fabric(rng), rng.uniform(0.014, 0.03), 0.006))
        if shares[3] < 0.06:
            worn.append(_shell(rng, closet, "gloves", fabrics.plain(rng, 64), 0.0025))
        if shares[4] < 0.14 and short:
            worn, bald = [item for item in worn if item.garment.role not in ("hair", "hat")], True
            name = ("cap", "beanie", "hood")[rng.choice(3, p=(0.35, 0.4, 0.25))]
            loose = {"cap": 0.009, "beanie": rng.uniform(0.007, 0.013), "hood": rng.uniform(0.012, 0.024)}[
                name
            ]
            worn.append(_shell(rng, closet, name, fabrics.fabric(rng), loose, 0.001))
    if bald and shares[5] < 0.75:
        worn.append(_strands(rng, closet, "cropped", hair, rng.uniform(0.002, 0.006)))
    if male and not child and shares[6] < 0.4:
        worn.append(
            _strands(rng, closet, "beard", hair * rng.uniform(0.7, 1.1), rng.choice([0.0015, 0.004, 0.009]))
        )
    return worn


def _shell(
    rng: Rng, closet: Closet, name: str, cloth: np.ndarray, loose: float, creased: float = 0.0
) -> Worn:
    garment = shell(closet, name)
    return Worn(
        garment, everywhere(garment, fabrics.to_texture(np.asarray(cloth, np.float32))), float(loose), creased
    )


def _strands(rng: Rng, closet: Closet, name: str, color: np.ndarray, loose: float) -> Worn:
    """Short hair: the finer it is, the more skin shows between."""
    garment, size = shell(closet, name), 256
    noise = rng.normal(0, 1, (size, size)).astype(np.float32)
    image = np.clip(color * (1 + 0.25 * noise + 0.15 * fabrics.smooth_noise(rng, size, 30))[..., None], 0, 1)
    holes = (rng.random((size, size)) > (0.35 if loose < 0.002 else 0.06)).astype(np.float32)
    return Worn(
        garment, everywhere(garment, fabrics.to_texture(image.astype(np.float32), holes)), float(loose)
    )


def _coat(rng: Rng, closet: Closet) -> list[Worn]:
    """A jacket or a coat of one cloth, open or closed, over everything else; its tail hangs from the
    waist."""
    opening, sleeve = int(rng.choice(4, p=(0.3, 0.2, 0.3, 0.2))), len(SLEEVES) - 1 - int(rng.random() < 0.15)
    hem = COAT_HEMS[rng.choice(4, p=(0.35, 0.25, 0.25, 0.15))]
    texture: Texture = fabrics.to_texture(fabrics.fabric(rng))
    loose, creased = rng.uniform(0.010, 0.024), rng.uniform(0.001, 0.003)
    pieces = [coat_top(closet, sleeve, opening, "hip" if hem == "hip" else "waist")]
    if hem != "hip":
        pieces.insert(0, coat_tail(closet, hem, opening))
    return [Worn(piece, everywhere(piece, texture), float(loose), creased) for piece in pieces]


def _open(opening: int, at: float) -> Field:
    """Positive outside of the gap down the front, which widens to lapels above the height `at`."""
    half = OPENINGS[opening]
    if half == 0:
        return lambda p: np.ones(len(p), np.float32)
    return lambda p: np.maximum(
        np.abs(p[:, 0]) - half - 0.25 * np.clip(p[:, 1] - at, 0, 0.3), -0.02 - p[:, 2]
    )


def coat_top(closet: Closet, sleeve: int, opening: int, hem: str) -> Garment:
    """The upper part of a coat; `sleeve` indexes SLEEVES, `opening` OPENINGS."""

    def make() -> Garment:
        base = closet.base
        end = _at(closet, "left_shoulder", 0) + SLEEVES[sleeve]
        top, bottom = _at(closet, "neck", 1) + 0.0, _at(closet, "spine1", 1) - (0.2 if hem == "hip" else 0.14)
        neck = lambda p: np.maximum(top - p[:, 1], np.abs(p[:, 0]) - 0.08)  # noqa: E731
        fields = [
            lambda p: end - np.abs(p[:, 0]),
            neck,
            lambda p: p[:, 1] - bottom,
            _open(opening, _at(closet, "spine3", 1) - 0.06),
        ]
        return garments.cut_out(base, ("tights",), fields, "top", "cut_coat")

    return closet.made(("coat_top", sleeve, opening, hem), make)


def coat_tail(closet: Closet, hem: str, opening: int) -> Garment:
    """The part of a coat below the waist."""

    def make() -> Garment:
        knee, ankle, hip = (_at(closet, f"left_{name}", 1) for name in ("knee", "ankle", "hip"))
        low = {"thigh": 0.5 * (hip + knee), "knee": knee - 0.02, "calf": 0.5 * (knee + ankle)}[hem]
        fields = [lambda p: p[:, 1] - low, _open(opening, 9.0)]
        return garments.cut_out(closet.base, ("skirt",), fields, "bottom", "cut_coat_tail")

    return closet.made(("coat_tail", hem, opening), make)


def _at(closet: Closet, joint: str, axis: int) -> float:
    return float(closet.base.joint_template[JOINT_INDEX[joint], axis])


# heights and depths on the mean body (its pelvis at the origin), metres: eyes at y 0.608, lips 0.546, chin
# 0.50, ears z 0.04
def _cap(p: Points) -> np.ndarray:
    return p[:, 1] - np.interp(p[:, 2], (-0.05, 0.03, 0.15), (0.585, 0.612, 0.636))


def _beanie(p: Points) -> np.ndarray:
    return p[:, 1] - np.interp(p[:, 2], (-0.05, 0.03, 0.15), (0.555, 0.59, 0.634))


def _hood(p: Points) -> np.ndarray:
    face = np.maximum(0.085 - p[:, 2], p[:, 1] - 0.672)  # positive beside and above the face
    return np.minimum(
        np.minimum(p[:, 1] - 0.445, 0.12 - np.abs(p[:, 0])), np.maximum(face, np.abs(p[:, 0]) - 0.07)
    )


def _scarf(p: Points) -> np.ndarray:
    return np.minimum(
        np.minimum(p[:, 1] - 0.425, 0.497 - p[:, 1] - 0.15 * (p[:, 2] - 0.03)), 0.105 - np.abs(p[:, 0])
    )


def _gloves(p: Points) -> np.ndarray:
    return np.abs(p[:, 0]) - 0.64


def _stockings(p: Points) -> np.ndarray:
    return np.minimum(-0.13 - p[:, 1], p[:, 1] + 2.0)


def _cropped(p: Points) -> np.ndarray:
    line = np.interp(p[:, 2], (-0.06, 0.0, 0.02, 0.06, 0.10, 0.14), (0.53, 0.545, 0.60, 0.622, 0.648, 0.674))
    return np.minimum(p[:, 1] - line, 0.0785 - np.abs(p[:, 0]) + 2 * np.clip(p[:, 1] - 0.63, 0, 0.05))


def _beard(p: Points) -> np.ndarray:
    top = (
        np.interp(p[:, 2], (0.055, 0.075, 0.11, 0.145, 0.155), (0.592, 0.566, 0.546, 0.558, 0.563)) - p[:, 1]
    )
    lips = np.hypot(p[:, 0] / 0.025, (p[:, 1] - 0.546) / 0.0085) - 1
    inside = np.minimum(np.minimum(top, p[:, 1] - 0.492), p[:, 2] - 0.05)
    return np.minimum(inside, np.where(p[:, 2] > 0.125, 0.01 * lips, 1.0))


_SHELLS: dict[str, tuple[Field, garments.Role]] = {
    "cap": (_cap, "hat"),
    "beanie": (_beanie, "hat"),
    "hood": (_hood, "hat"),
    "scarf": (_scarf, "scarf"),
    "gloves": (_gloves, "gloves"),
    "stockings": (_stockings, "stockings"),
    "cropped": (_cropped, "crop"),
    "beard": (_beard, "beard"),
}


def shell(closet: Closet, name: str) -> Garment:
    """A piece of the body's surface, to be worn a little off it: cap, beanie, hood, scarf, gloves, stockings,
    cropped or beard."""
    field, role = _SHELLS[name]

    def make() -> Garment:
        piece = garments.cut_out(closet.base, ("body",), [field], role, f"cut_{name}")
        return _with_brim(closet, piece) if name == "cap" else piece

    return closet.made(("shell", name), make)


def _with_brim(closet: Closet, cap: Garment, length: float = 0.075) -> Garment:
    """The cap with a brim: a curved half-ring, each of whose vertices hangs on the nearest one of the
    forehead."""
    base, across, out = closet.base, 13, 4
    angle, reach = np.meshgrid(
        np.linspace(-1.15, 1.15, across), np.linspace(-0.01, length, out), indexing="ij"
    )
    grow = 1 + reach / 0.09 * np.cos(angle)  # widest in front
    points = np.stack(
        [0.07 * np.sin(angle), 0.632 - 0.25 * reach - 0.012 * angle**2, 0.075 + 0.072 * np.cos(angle) * grow],
        -1,
    ).reshape(-1, 3)
    anchors = base.surface[KDTree(base.template[base.surface]).query(points[::out])[1]].repeat(out)
    rows = csr_matrix(
        (np.ones(len(points), np.float32), (np.arange(len(points)), anchors)),
        (len(points), len(base.template)),
    )
    i, j = (grid.ravel() for grid in np.meshgrid(np.arange(across - 1), np.arange(out - 1), indexing="ij"))
    a = i * out + j
    faces = np.concatenate(
        [np.stack([a, a + 1, a + out], 1), np.stack([a + 1, a + out + 1, a + out], 1)]
    ) + len(cap.offsets)
    uv = (points[:, [0, 2]] * 2)[faces - len(cap.offsets)]
    skin = Skin.cat([cap.skin, Skin.of(rows @ base.weights)])
    offsets = np.concatenate([cap.offsets, points - base.template[anchors]]).astype(np.float32)
    return replace(
        cap,
        binding=vstack([cap.binding, rows]).tocsr(),
        offsets=offsets,
        skin=skin,
        faces=np.concatenate([cap.faces, faces]).astype(np.int32),
        uv=np.concatenate([cap.uv, uv]).astype(np.float32),
    )
