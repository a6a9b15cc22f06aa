"""The stage protocol: what a stage needs, makes and is configured by.

    class CoarseConfig(StageConfig):
        weights: str = Field(default="hgm_coarse", description="embedded weight, or the path of a file")

    class Coarse(Stage[CoarseConfig]):
        name, version = "coarse", 1
        needs = {"view": "prepare.view", "body": "estimate.body"}
        device = "gpu"
        Config = CoarseConfig

        class Outputs(NamedTuple):
            gaussians: Gaussians
            views: Images
            back: Image

        def weights(self) -> tuple[str, ...]:
            return (self.config.weights,)

        def run(self, *, device: torch.device, view: View, body: Body) -> Outputs: ...

What `run` returns is the declaration of what the stage makes: the fields of that NamedTuple are its outputs,
their annotations the kinds by which they are kept (`makes` is read off them). Every output is always made.

A declaration must not cost an import of torch (a fresh run imports none): a stage's file begins with
`from __future__ import annotations`, takes torch, `pipeline.values` and `models` in `if TYPE_CHECKING:` for
annotations, and inside `run` for use.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple, TypeAlias, TypeVar, get_args

from turnaround.pipeline.errors import TurnaroundError
from turnaround.pipeline.frozen import Frozen

if TYPE_CHECKING:
    import torch

# How a value is kept on disk (`pipeline/formats/codecs.py`):
#   Image (.png), Images (folder of .png), View (.png with its camera), Body (.npz), Gaussians (.ply),
#   Mesh (.glb and .obj), TexturedMesh (.glb, .obj with .mtl and its texture), Rig (.npz), Trace (.json),
#   Video (.mp4)
Kind: TypeAlias = Literal[
    "Image", "Images", "View", "Body", "Gaussians", "Mesh", "TexturedMesh", "Rig", "Trace", "Video"
]
KINDS: tuple[str, ...] = get_args(Kind)

# The types of those kinds that are not in `pipeline.values.types`; strings, which cost nothing at run time.
Image: TypeAlias = "torch.Tensor"  # float32 (h, w), (h, w, 3) or (h, w, 4), sRGB or a soft mask in [0, 1]
Images: TypeAlias = "dict[str, torch.Tensor]"  # name of the picture -> Image
Trace: TypeAlias = dict[str, Any]  # whatever json can hold; tensors and arrays become lists
Video: TypeAlias = bytes  # an encoded mp4

SOURCES: tuple[str, ...] = ("image", "mask", "body", "back")  # photo.image: bytes; the sidecars: bytes | None
PHOTO = "photo"


class StageError(TurnaroundError, RuntimeError):
    """A fault of the picture or of a file beside it: says what is wrong and what to do. Never retried."""

    fault = "picture"


class StageConfig(Frozen):
    """Frozen, closed settings of a stage. Every field is part of the cache key and has a description."""


ConfigT = TypeVar("ConfigT", bound=StageConfig)


class Stage(Generic[ConfigT]):
    """A pure step: values in, values out. No paths, no globals, no scheduler.

    Subclass `Stage["MyStage.Config"]` where a type checker should know the settings, or plain `Stage`.
    """

    name: ClassVar[str]
    version: ClassVar[int]  # bump when the meaning of an output changes
    needs: ClassVar[
        Mapping[str, str]
    ] = {}  # argument of run -> "stage.output" or "photo.image|mask|body|back"
    makes: ClassVar[Mapping[str, Kind]] = {}  # output -> kind, read off what `run` returns
    accepts: ClassVar[
        Mapping[str, str]
    ] = {}  # output that a person may give -> what beside the photo gives it: mask, body or back
    device: ClassVar[Literal["cpu", "gpu"]] = (
        "cpu"  # "gpu": runs on the GPU where there is one, under its lock
    )
    Config: ClassVar[type[StageConfig]] = StageConfig
    moved: ClassVar[Mapping[str, str]] = {}  # name that a setting had -> its name now

    def __init__(self, config: ConfigT | None = None) -> None:
        self.config: ConfigT = config if config is not None else self.Config()  # type: ignore[assignment]
        if not isinstance(self.config, self.Config):
            raise TypeError(
                f"stage {self.name} takes a {self.Config.__qualname__}, got {type(self.config).__qualname__}"
            )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "makes" in vars(cls):
            raise TypeError(
                f"{cls.__name__}.makes is read off the NamedTuple that `run` is annotated to return: name "
                f"the outputs there alone"
            )
        cls.makes = outputs_of(cls)
        check_declaration(cls)

    def weights(self) -> tuple[str, ...]:
        """Names in `models/zoo.py`, or paths, of the weights that this configuration uses; their digests
        enter the key."""
        return ()

    def beside(self, output: str, value: bytes, *, device: torch.device, **inputs: Any) -> bytes:
        """The file beside the photo that makes the stage give `value` for an output of `accepts`.

        value: bytes of a picture or body in the form of that output; inputs: those of `run`. StageError where
        it does not fit.
        """
        return value

    def run(self, *args: Any, **inputs: Any) -> NamedTuple:
        """Compute every output from `device` and the inputs of `needs`. StageError for faults of the picture.

        Called with keywords only; the open signature lets every stage name its own. A stage's own NamedTuple
        is its declaration of outputs.
        """
        raise NotImplementedError


def outputs_of(cls: type[Stage[Any]]) -> dict[str, Kind]:
    """Read outputs and their kinds off the NamedTuple that `run` is annotated to return.

    Raises:
        TypeError: no such annotation, or a field that is no kind; says what to write.
    """
    owner = next(base for base in cls.__mro__ if "run" in vars(base))
    returned: Any = inspect.signature(owner.run).return_annotation
    declared = _named(returned, owner) if isinstance(returned, str) else returned
    if not (isinstance(declared, type) and issubclass(declared, tuple) and hasattr(declared, "_fields")):
        got = "nothing" if returned is inspect.Signature.empty else returned
        raise TypeError(
            f"{cls.__name__}.run is annotated to return {got}: expected a NamedTuple of the outputs, "
            f"`class Outputs(NamedTuple)` in {cls.__name__} and `-> Outputs`"
        )
    if declared._field_defaults:  # type: ignore[attr-defined]
        raise TypeError(
            f"{cls.__name__}.{declared.__name__} has defaults: every output is always made; take them away"
        )
    kinds = {name: getattr(kind, "__forward_arg__", kind) for name, kind in declared.__annotations__.items()}
    if not kinds:
        raise TypeError(f"{cls.__name__}.{declared.__name__} names no outputs: a stage makes one at least")
    for output, kind in kinds.items():
        if kind not in KINDS:
            raise TypeError(
                f"{cls.__name__}.{declared.__name__}.{output} is {kind!r}: expected one of "
                f"{', '.join(KINDS)}, in a file that begins with `from __future__ import annotations`"
            )
    return kinds


def _named(dotted: str, owner: type[Stage[Any]]) -> Any:
    """What a name in an annotation of `owner.run` means: in the class, else in its file; None for nothing."""
    first, *rest = dotted.split(".")
    found = vars(owner).get(first, inspect.unwrap(owner.run).__globals__.get(first))
    return reduce(lambda value, name: getattr(value, name, None), rest, found)


def check_declaration(cls: type[Stage[Any]]) -> None:
    """TypeError with the remedy where a stage's declaration is incomplete or contradicts its `run`."""
    for field in ("name", "version"):
        if not hasattr(cls, field) or not getattr(cls, field):
            raise TypeError(f"{cls.__name__} must declare `{field}`")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", cls.name) or cls.name == PHOTO:
        raise TypeError(
            f"{cls.__name__}.name is {cls.name!r}: use lower case letters, digits and _, and not {PHOTO!r}"
        )
    for argument, need in cls.needs.items():
        owner, _, output = need.partition(".")
        if not output or "." in output or (owner == PHOTO and output not in SOURCES):
            raise TypeError(
                f'{cls.__name__}.needs["{argument}"] is {need!r}: expected "stage.output" or '
                f'"photo.{"|".join(SOURCES)}"'
            )
    accepted = inspect.signature(cls.run).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in accepted.values()):
        expected = {"self", "device", *cls.needs}
        if expected != set(accepted):
            raise TypeError(
                f"{cls.__name__}.run takes {sorted(set(accepted) - {'self'})}, expected device and needs "
                f"{sorted(cls.needs)}"
            )
