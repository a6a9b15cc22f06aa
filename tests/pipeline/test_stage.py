"""What a stage declares: its outputs read off `run`, and what is refused with the remedy."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import toy

from tests.pipeline.test_graph import Out
from turnaround.pipeline.stage import Image, Stage, StageConfig, Trace


def returning(annotation: Any) -> Callable[..., Any]:
    """A `run` that is annotated to return this."""

    def run(self, *, device: Any, **inputs: Any):
        raise NotImplementedError

    run.__annotations__["return"] = annotation
    return run


def declared(**changes: Any) -> type[Stage[Any]]:
    good = {"name": "good", "version": 1, "run": returning("Out")}
    body = {name: value for name, value in {**good, **changes}.items() if value is not None}
    return type("Declared", (Stage,), body)


def takes_y(self, *, device: Any, y: Any) -> Out:
    raise NotImplementedError


class Later(NamedTuple):
    out: Trace | None


class Usual(NamedTuple):
    out: Trace = {}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"name": None}, "must declare `name`"),
        ({"version": None}, "must declare `version`"),
        ({"name": "Two Words"}, "lower case"),
        ({"name": "photo"}, "not 'photo'"),
        ({"name": "../up"}, "lower case"),
        ({"needs": {"x": "photo.face"}}, r"photo\.image\|mask"),
        ({"needs": {"x": "prepare"}}, "stage.output"),
        ({"needs": {"x": "a.b.c"}}, "stage.output"),
        (
            {"needs": {"x": "a.b"}, "run": takes_y},
            r"takes \['device', 'y'\], expected device and needs \['x'\]",
        ),
    ],
)
def test_incomplete_declarations_are_refused_when_the_class_is_made(changes, message):
    declared()  # the same without the change is fine
    with pytest.raises(TypeError, match=message):
        declared(**changes)


@pytest.mark.parametrize(
    "returned, message",
    [
        (inspect.Signature.empty, r"Declared\.run is annotated to return nothing: expected a NamedTuple"),
        (None, "to return None: expected a NamedTuple"),
        ("dict[str, Any]", r"to return dict\[str, Any\]: expected .* `class Outputs\(NamedTuple\)`"),
        ("tuple", "to return tuple"),
        ("Nowhere", "to return Nowhere"),
        ("json.Nowhere", r"to return json\.Nowhere"),
        (NamedTuple("None_", []), "names no outputs"),
        (
            NamedTuple("Picture", [("out", "Picture")]),
            r"Picture\.out is 'Picture': expected one of Image",
        ),
        (NamedTuple("Class", [("out", bytes)]), "is <class 'bytes'>: .*from __future__ import annotations"),
        ("Later", r"out is 'Trace \| None'"),
        ("Usual", "Usual has defaults: every output is always made"),
    ],
)
def test_outputs_that_are_no_named_tuple_of_kinds_are_refused(returned, message):
    with pytest.raises(TypeError, match=message):
        declared(run=returning(returned))


def test_outputs_are_read_off_what_run_returns():
    """In the order of the fields; by the class itself, a name beside or inside the stage, or a dotted one."""

    class Nested(Stage[StageConfig]):
        name, version = "nested", 1

        class Outputs(NamedTuple):
            picture: Image
            text: Trace

        def run(self, *, device: Any) -> Outputs:
            raise NotImplementedError

    class Inherits(Nested):
        class Outputs(NamedTuple):  # not what `run` returns
            other: Trace

    assert list(Nested.makes.items()) == [("picture", "Image"), ("text", "Trace")]
    assert Inherits.makes == Nested.makes
    assert declared(run=returning(Out)).makes == declared(run=returning("Out")).makes == {"out": "Trace"}
    assert declared(run=returning("toy.Count.Outputs")).makes == toy.Count.makes


def test_makes_is_not_declared_beside_it():
    with pytest.raises(TypeError, match=r"Declared\.makes .* NamedTuple"):
        declared(makes={"out": "Trace"})


def test_a_stage_takes_its_own_settings_only():
    with pytest.raises(TypeError, match="takes a CountConfig, got ShareConfig"):
        toy.Count(toy.ShareConfig())
