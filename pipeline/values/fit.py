"""How far a result is to be trusted: good or poor, with causes, each with its remedy. As stages write it to
json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["good", "poor"]
EXPLAINS = {"at_border", "touching", "slanted", "small"}  # codes of notes


@dataclass(frozen=True)
class Cause:
    """One thing that is wrong with a photo or with the body that was fitted to it."""

    code: str  # a word for programs: waist, head_only, sideways, touching, outside_mask, ...
    sentence: str  # for people: what is wrong, with its figure
    remedy: str  # for people: what to do about it
    figure: float | None = None  # what was measured
    poor: bool = True  # False: it is said, and the fit stays good (a foot that is cut off)


@dataclass(frozen=True)
class Fit:
    """What is to be said of one subject's fit."""

    causes: tuple[Cause, ...] = ()  # of a poor fit
    notes: tuple[Cause, ...] = ()  # what is said of a good one, too

    @property
    def state(self) -> State:
        """Poor where there is a cause."""
        return "poor" if self.causes else "good"

    @staticmethod
    def of(found: Iterable[Cause]) -> Fit:
        """Sort what was found into causes and notes, in order; of two with one code the first stays.

        A note of a good fit may explain a poor one: those of `EXPLAINS` become causes of it.
        """
        first: dict[str, Cause] = {}
        for cause in found:
            first.setdefault(cause.code, cause)
        poor = any(cause.poor for cause in first.values())
        causes = [c for c in first.values() if c.poor or (poor and c.code in EXPLAINS)]
        return Fit(tuple(causes), tuple(c for c in first.values() if c not in causes))

    def as_json(self) -> dict[str, Any]:
        """State, causes and notes as plain values."""
        said = {name: [_plain(cause) for cause in getattr(self, name)] for name in ("causes", "notes")}
        return {"state": self.state, **said}


def causes_to_json(causes: Iterable[Cause]) -> list[dict[str, Any]]:
    """Write causes as a stage keeps them; `causes_of_json` reads them."""
    return [asdict(cause) for cause in causes]


def causes_of_json(value: Any) -> tuple[Cause, ...]:
    """Read what a stage has kept; what is not a cause (made by hand, by another version) is left out."""
    rows = value if isinstance(value, list) else []
    return tuple(cause for row in rows if (cause := _read(row)) is not None)


def _plain(cause: Cause) -> dict[str, Any]:
    return {name: value for name, value in asdict(cause).items() if name != "poor"}


def _read(row: Any) -> Cause | None:
    if not isinstance(row, Mapping) or not all(
        isinstance(row.get(name), str) for name in ("code", "sentence", "remedy")
    ):
        return None
    figure = row.get("figure")
    number = float(figure) if isinstance(figure, int | float) and not isinstance(figure, bool) else None
    return Cause(row["code"], row["sentence"], row["remedy"], number, row.get("poor") is not False)
