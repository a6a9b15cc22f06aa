"""The closet: all garments of one split, bound to the base mesh and kept in memory.

Without the wardrobe of `data/clothes/wardrobe.py` it offers clothes cut out of the helper meshes only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from turnaround.data.clothes import base_mesh, garments
from turnaround.data.clothes.base_mesh import BaseMesh
from turnaround.data.clothes.garments import Garment
from turnaround.data.clothes.wardrobe import Half, Split, Wardrobe
from turnaround.models.body.skeleton import JOINT_INDEX

SLEEVES = (0.03, 0.10, 0.18, 0.30, 0.42, 0.50)  # metres beyond the shoulder joint, sleeveless to long
HEMS = ("ankle", "calf", "knee", "thigh")


class Closet:
    """Garments of one split by name; each is read and bound once."""

    def __init__(self, base: BaseMesh, split: Split, wardrobe: Wardrobe | None) -> None:
        self.base, self.split, self.wardrobe = base, split, wardrobe
        self._suits: dict[str, tuple[Garment, ...]] = {}
        self._items: dict[tuple, Garment] = {}

    @staticmethod
    @lru_cache(maxsize=6)
    def open(split: Split, half: Half = "all") -> Closet:
        """The closet of this process over the user's cache."""
        return Closet(base_mesh.load(), split, Wardrobe.open(split, half))

    @property
    def allows_cut_outs(self) -> bool:
        """Garments of the helper meshes are training clothes; they are worn for testing only when there is
        nothing else."""
        return self.wardrobe is None or self.split == "train"

    def suit(self, name: str) -> tuple[Garment, ...]:
        """(top, bottom) of a suit, or (whole,)."""
        if name not in self._suits:
            self._suits[name] = garments.halves(self.item(name, "whole"), self.base)
        return self._suits[name]

    def item(self, name: str, role: garments.Role) -> Garment:
        """Shoes, hair, a hat, eyebrows or an uncut suit."""
        if self.wardrobe is None:
            raise LookupError(
                f"there is no wardrobe: fetch it with `turnaround data wardrobe` to use {name!r}"
            )
        key = (name, role)
        if key not in self._items:
            self._items[key] = garments.bind(self.wardrobe.proxy(name), self.base, role)
        return self._items[key]

    def made(self, key: tuple, make: Callable[[], Garment]) -> Garment:
        """The garment of a key, made at its first use."""
        if key not in self._items:
            self._items[key] = make()
        return self._items[key]

    def cut_top(self, sleeve: int, collar: float, hem: float) -> Garment:
        """A shirt from the tights: `sleeve` indexes SLEEVES, `collar` is 0 (wide) to 1 (high), `hem` metres
        below the waist."""
        key = ("cut_top", sleeve, round(collar, 1), round(hem, 2))
        if key not in self._items:
            at = self._at
            end = at("left_shoulder", 0) + SLEEVES[key[1]]
            top = at("neck", 1) - 0.055 + 0.05 * key[2]
            bottom = at("spine1", 1) - key[3]
            neck = lambda p: np.maximum(top - p[:, 1], np.abs(p[:, 0]) - 0.09 + 0.03 * key[2])  # noqa: E731
            fields = [lambda p: end - np.abs(p[:, 0]), neck, lambda p: p[:, 1] - bottom]
            self._items[key] = garments.cut_out(self.base, ("tights",), fields, "top", "cut_top")
        return self._items[key]

    def cut_bottom(self, hem: str, skirt: bool) -> Garment:
        """Trousers or a skirt from the helper meshes; `hem` is one of HEMS."""
        key = ("cut_bottom", hem, skirt)
        if key not in self._items:
            at = self._at
            levels = {
                "ankle": at("left_ankle", 1) + 0.04,
                "calf": 0.5 * (at("left_knee", 1) + at("left_ankle", 1)),
                "knee": at("left_knee", 1) - 0.02,
                "thigh": 0.62 * at("left_knee", 1) + 0.38 * at("left_hip", 1),
            }
            part = "skirt" if skirt else "tights"
            low = levels[hem]
            waist = min(
                at("spine1", 1) + 0.02, float(self.base.template[self.base.parts[part].faces, 1].max())
            )
            arms = at("left_shoulder", 0) + 0.05
            fields = [lambda p: p[:, 1] - low, lambda p: waist - p[:, 1], lambda p: arms - np.abs(p[:, 0])]
            cut = garments.cut_out(
                self.base,
                ("skirt",) if skirt else ("tights",),
                fields,
                "bottom",
                "cut_skirt" if skirt else "cut_trousers",
            )
            self._items[key] = cut
        return self._items[key]

    def _at(self, joint: str, axis: int) -> float:
        return float(self.base.joint_template[JOINT_INDEX[joint], axis])
