"""What a person wears: garments of one split, mixed and matched, with their cloth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from turnaround.data.clothes import fabrics, skins
from turnaround.data.clothes.closet import HEMS, SLEEVES, Closet
from turnaround.data.clothes.fabrics import Rng, Texture
from turnaround.data.clothes.garments import Garment
from turnaround.data.clothes.wardrobe import Wardrobe

# how the cloth of a suit is made: as its makers painted it, in other colours, or anew; test people keep more
# originals
CLOTH = {"train": (0.12, 0.28, 0.60), "test": (0.3, 0.3, 0.4)}
JACKETS = ("male_elegantsuit01", "male_casualsuit05", "male_casualsuit06")
LONG_HAIR = ("Braid01", "long01", "ponytail01", "bob01", "bob02")


@dataclass(frozen=True)
class Worn:
    """A garment with its cloth; the order in a list is from the skin outwards."""

    garment: Garment
    cloths: tuple[tuple[Bool[np.ndarray, " f"], Texture], ...]  # faces and their texture
    loose: float = 0.0  # metres by which it stands off further than it was modelled
    creased: float = 0.0  # metres, amplitude of folds

    @property
    def name(self) -> str:
        """The garment's name in the wardrobe."""
        return self.garment.name


def describe(worn: Worn) -> dict[str, Any]:
    """A garment for the JSON of a data set."""
    colors = [
        texture[..., :3][texture[..., 3] > 0].mean(0) / 255 if texture[..., 3].any() else np.zeros(3)
        for _, texture in worn.cloths
    ]
    return {
        "name": worn.name,
        "role": worn.garment.role,
        "colors": [np.round(color, 3).tolist() for color in colors],
        "loose": round(float(worn.loose), 4),
        "creased": round(float(worn.creased), 4),
    }


def sample_outfit(rng: Rng, closet: Closet) -> list[Worn]:
    """Clothes (always a top and a bottom), and with a wardrobe shoes, hair and eyebrows."""
    clothes = _clothes(rng, closet)
    if closet.wardrobe is None:
        return clothes
    shoes = [_shoes(rng, closet, closet.wardrobe)] if rng.random() < 0.93 else []
    return [*shoes, *clothes, *_head(rng, closet, closet.wardrobe)]


def _clothes(rng: Rng, closet: Closet) -> list[Worn]:
    share = 1.0 if closet.wardrobe is None else 0.22 if closet.allows_cut_outs else 0.0
    new_top, new_bottom = rng.random(2) < share
    if closet.wardrobe is None:
        top, bottom = _cut_top(rng, closet), _cut_bottom(rng, closet)
    else:
        top, bottom = _suit_pieces(rng, closet, closet.wardrobe)
        if new_bottom or (new_top and bottom is None):
            bottom = _cut_bottom(rng, closet)
        if new_top or (bottom and top.garment.role == "whole"):
            top = _cut_top(rng, closet)
    if new_top and rng.random() < 0.2:
        top, bottom = _dress(rng, closet)
    if bottom is None:
        return [top]
    tucked = (
        rng.random() < 0.25 and top.name not in JACKETS
    )  # a shirt in the trousers is nearer to the skin than they are
    return [top, bottom] if tucked else [bottom, top]


def _dress(rng: Rng, closet: Closet) -> tuple[Worn, Worn]:
    """A long shirt and a skirt of one cloth."""
    top = _cut_top(rng, closet, long=True)
    skirt = closet.cut_bottom(HEMS[rng.integers(1, len(HEMS))], skirt=True)
    return top, Worn(skirt, everywhere(skirt, top.cloths[0][1]), top.loose, top.creased)


def _suit_pieces(rng: Rng, closet: Closet, wardrobe: Wardrobe) -> tuple[Worn, Worn | None]:
    """Top and bottom, of two suits as often as of one; or one whole suit."""
    kind = "women" if rng.random() < 0.4 else "men"
    names = wardrobe.garments(kind)
    first, second = names[rng.integers(len(names))], names[rng.integers(len(names))]
    pieces = closet.suit(first)
    top = _with_cloth(rng, closet, wardrobe, pieces[0])
    if len(pieces) == 1:
        return top, None
    other = closet.suit(second)
    bottom = other[1] if len(other) == 2 and rng.random() < 0.5 else pieces[1]
    return top, _with_cloth(rng, closet, wardrobe, bottom)


def _with_cloth(rng: Rng, closet: Closet, wardrobe: Wardrobe, garment: Garment) -> Worn:
    original = wardrobe.texture(garment.name)
    mode = rng.choice(3, p=CLOTH[closet.split])
    regions = [np.ones(len(garment.faces), bool)]
    if garment.upper is not None and mode == 2:
        regions = [garment.upper, ~garment.upper]
    cloths = tuple((region, _cloth(rng, wardrobe, garment.name, original, mode)) for region in regions)
    loose = rng.uniform(0, 0.012) if garment.role == "top" else rng.uniform(0, 0.008)
    return Worn(garment, cloths, loose, rng.uniform(0.0005, 0.0025))


def _cloth(rng: Rng, wardrobe: Wardrobe, name: str, original: Texture, mode: int) -> Texture:
    if mode == 0:
        return original
    if mode == 1:
        return _keep_holes(fabrics.to_texture(fabrics.recolored(rng, original)), original)
    occlusion = wardrobe.occlusion(name)
    relief = original if occlusion is None or rng.random() < 0.4 else occlusion
    image = fabrics.with_relief(fabrics.fabric(rng), relief, rng.uniform(0.3, 0.9))
    return _keep_holes(fabrics.to_texture(image), original)


def _keep_holes(texture: Texture, original: Texture) -> Texture:
    texture[..., 3] = original[..., 3]
    return texture


def everywhere(garment: Garment, texture: Texture) -> tuple[tuple[Bool[np.ndarray, " f"], Texture], ...]:
    """One cloth for all faces."""
    return ((np.ones(len(garment.faces), bool), texture),)


def _cut_top(rng: Rng, closet: Closet, long: bool = False) -> Worn:
    garment = closet.cut_top(
        int(rng.integers(len(SLEEVES))),
        round(float(rng.uniform(0, 1)), 1),
        0.12 if long else float(rng.choice([0.0, 0.06, 0.12])),
    )
    return _cut_worn(rng, garment, rng.uniform(0.002, 0.016))


def _cut_bottom(rng: Rng, closet: Closet) -> Worn:
    skirt = rng.random() < 0.4
    garment = closet.cut_bottom(
        HEMS[rng.choice(4, p=(0.1, 0.2, 0.4, 0.3) if skirt else (0.6, 0.1, 0.1, 0.2))], skirt
    )
    return _cut_worn(rng, garment, rng.uniform(0.002, 0.012))


def _cut_worn(rng: Rng, garment: Garment, loose: float) -> Worn:
    texture = fabrics.to_texture(fabrics.fabric(rng))
    return Worn(garment, everywhere(garment, texture), float(loose), rng.uniform(0.0005, 0.003))


def _pick(rng: Rng, names: tuple[str, ...]) -> str:
    return names[rng.integers(len(names))]


def _shoes(rng: Rng, closet: Closet, wardrobe: Wardrobe) -> Worn:
    garment = closet.item(_pick(rng, wardrobe.garments("shoes")), "shoes")
    original = wardrobe.texture(garment.name)
    texture = (
        original
        if rng.random() < 0.35
        else _keep_holes(fabrics.to_texture(fabrics.recolored(rng, original)), original)
    )
    return Worn(garment, everywhere(garment, texture))


def _head(rng: Rng, closet: Closet, wardrobe: Wardrobe) -> list[Worn]:
    """Hair (nine in ten), or sometimes a hat over a bare head; eyebrows of the hair's colour."""
    color, worn = skins.hair_color(rng), []
    hats = wardrobe.garments("hats")
    choice = rng.random()
    if choice < 0.06 and hats:
        hat = closet.item(_pick(rng, hats), "hat")
        cloth = fabrics.recolored(rng, wardrobe.texture(hat.name))
        worn.append(Worn(hat, everywhere(hat, fabrics.to_texture(cloth))))
    elif choice < 0.93:
        hair = closet.item(_pick(rng, wardrobe.garments("hair")), "hair")
        worn.append(Worn(hair, everywhere(hair, skins.colored_hair(wardrobe.texture(hair.name), color))))
    brow = closet.item(_pick(rng, wardrobe.garments("eyebrows")), "eyebrows")
    darker = np.minimum(color * 0.7, 0.35)
    worn.append(
        Worn(brow, everywhere(brow, skins.colored_hair(wardrobe.texture(brow.name), darker)), loose=0.0005)
    )
    return worn
