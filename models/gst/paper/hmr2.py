"""HMR 2.0's checkpoint (Goel et al. 2023, `hmr2.ckpt`) as the start of the paper's body network.

The user's own file: HMR 2.0's code is under the MIT licence, the SMPL body under SMPL's model licence
(non-commercial research). It is a pickle of a Lightning module, read as weights alone: no code of it runs.
"""

from __future__ import annotations

import logging
import re
from collections import Counter, OrderedDict
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.estimator.kinematics import POSED
from turnaround.models.gst.paper.paper_network import PaperNetwork
from turnaround.models.zoo import MissingWeight
from turnaround.pipeline.errors import CallError

log = logging.getLogger(__name__)

# HMR 2.0's names, layer numbers as {}, and ours
NAMES = {
    "backbone.patch_embed.proj": "vit.patches",
    "backbone.blocks.{}.norm1": "vit.blocks.{}.norms.0",
    "backbone.blocks.{}.attn.qkv": "vit.blocks.{}.qkv",
    "backbone.blocks.{}.attn.proj": "vit.blocks.{}.out",
    "backbone.blocks.{}.norm2": "vit.blocks.{}.norms.1",
    "backbone.blocks.{}.mlp.fc1": "vit.blocks.{}.mlp.0",
    "backbone.blocks.{}.mlp.fc2": "vit.blocks.{}.mlp.2",
    "backbone.last_norm": "vit.norm",
    "smpl_head.transformer.transformer.layers.{}.0.norm": "decoder.layers.{}.norms.0",
    "smpl_head.transformer.transformer.layers.{}.0.fn.to_qkv": "decoder.layers.{}.qkv",
    "smpl_head.transformer.transformer.layers.{}.0.fn.to_out.0": "decoder.layers.{}.out",
    "smpl_head.transformer.transformer.layers.{}.1.norm": "decoder.layers.{}.norms.1",
    "smpl_head.transformer.transformer.layers.{}.1.fn.to_q": "decoder.layers.{}.query",
    "smpl_head.transformer.transformer.layers.{}.1.fn.to_kv": "decoder.layers.{}.image",
    "smpl_head.transformer.transformer.layers.{}.1.fn.to_out.0": "decoder.layers.{}.image_out",
    "smpl_head.transformer.transformer.layers.{}.2.norm": "decoder.layers.{}.norms.2",
    "smpl_head.transformer.transformer.layers.{}.2.fn.net.0": "decoder.layers.{}.mlp.0",
    "smpl_head.transformer.transformer.layers.{}.2.fn.net.3": "decoder.layers.{}.mlp.2",
    "smpl_head.deccam": "camera_head",
}
EMBEDDING = "smpl_head.transformer.to_token_embedding"
SPECIAL = (
    "backbone.pos_embed",
    "smpl_head.transformer.pos_embedding",
    f"{EMBEDDING}.bias",
    "smpl_head.decpose.weight",
    "smpl_head.decpose.bias",
    "smpl_head.init_body_pose",
    "smpl_head.init_cam",
)
BODY = ("smpl.J_regressor", "smpl.v_template")  # SMPL's joints from vertices, and its vertices
# x, y of SMPL's pelvis at rest, metres, where a file is without SMPL: -.21 (women) to -.24 (men)
PELVIS = (0.0, -0.23)
# the query is an embedding of 0, so that its weight counts nothing; betas are SMPL's
UNUSED = (
    f"{EMBEDDING}.weight",
    "smpl_head.decshape.weight",
    "smpl_head.decshape.bias",
    "smpl_head.init_betas",
)
NETWORK = ("backbone.", "smpl_head.")  # what starts so is the network's; the rest is SMPL, and of training
# classes of the settings beside the weights; nothing of them is needed
SETTINGS = re.compile(
    r"(omegaconf|yacs|pytorch_lightning|lightning|lightning_fabric)\..*|typing\.Any|pathlib\.PosixPath"
    r"|collections\.defaultdict|(builtins|__builtin__)\.(dict|list|tuple|set|int|float|str|bool|object)"
)


def begin_with_hmr2(network: PaperNetwork, file: Path) -> list[str]:
    """Take HMR 2.0's weights, in place: encoder, decoder, heads of pose and camera; the shape head becomes 0.

    SMPL's 24 joints are ours but for the two hands, which come last. SMPL's betas mean nothing to an SMPL-X
    body: until it is trained the network says the mean shape, and places it as if it were as tall as SMPL's.

    Returns:
        Names that were left: SMPL's, the discriminator's, and what the network has no place for.

    Raises:
        MissingWeight: no such file, or no checkpoint of weights.
        CallError: of another network than HMR 2.0, or of other sizes.
    """
    state = read_checkpoint(file)
    found, left = renamed(state, file)
    found |= {"shape_head.weight": torch.zeros_like(network.shape_head.weight)}
    found |= {"shape_head.bias": torch.zeros_like(network.shape_head.bias)}
    expected = {name: value.shape for name, value in network.state_dict().items() if name != "hands"}
    shapes = {name: value.shape for name, value in found.items()}
    wrong = sorted(name for name in {*expected, *shapes} if expected.get(name) != shapes.get(name))
    if wrong:
        theirs, ours = (tuple(x[wrong[0]]) if wrong[0] in x else "nothing" for x in (shapes, expected))
        raise CallError(
            f"{file} does not fit the network: {len(wrong)} parts differ, the first is {wrong[0]}, {theirs} "
            f"in the file and {ours} here; HMR 2.0's sizes are those of --size paper"
        )
    network.load_state_dict({**found, "hands": torch.zeros_like(network.hands)})
    kinds = Counter(name.split(".")[0] for name in left)
    log.info("%s: %d tensors taken, %d left (%s)", file, len(state) - len(left), len(left), dict(kinds))
    log.warning(
        "%s: the betas of SMPL are not those of SMPL-X: the shape head starts at zero, the mean person", file
    )
    return left


def read_checkpoint(file: Path) -> dict[str, Tensor]:
    """The state dict of a Lightning checkpoint; its settings become empty, whatever class they have."""
    if not file.is_file():
        raise MissingWeight(f"there is no checkpoint {file}: give the path of your own hmr2.ckpt")
    clean = "or save its `state_dict` alone by torch.save, where you trust it"
    try:
        classes = torch.serialization.get_unsafe_globals_in_checkpoint(file)
        foreign = sorted(name for name in classes if not SETTINGS.fullmatch(name))
        with torch.serialization.safe_globals([(Nothing, name) for name in classes]):
            stored = None if foreign else torch.load(file, "cpu", weights_only=True, mmap=True)
    except (UnpicklingError, ValueError, RuntimeError, EOFError) as error:
        raise MissingWeight(f"{file} is no checkpoint of weights ({error}): get it again, {clean}") from error
    if foreign:
        raise MissingWeight(
            f"{file} asks for {', '.join(foreign[:3])}, which no checkpoint of HMR 2.0 does and nothing here "
            f"runs: get the file again, {clean}"
        )
    state = stored.get("state_dict", stored) if isinstance(stored, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(x, Tensor) for x in state.values()):
        raise MissingWeight(f"{file} has no `state_dict` of tensors: expected HMR 2.0's hmr2.ckpt")
    return dict(state)


class Nothing:
    """What stands for every class of a checkpoint's settings: an empty dict, whatever is put into it."""

    def __new__(cls, *_: object, **__: object) -> OrderedDict[object, object]:  # type: ignore[misc]
        """No object of this class."""
        return OrderedDict()


def renamed(state: Mapping[str, Tensor], file: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors by our names, and the names of those that have no place."""
    unknown, found, left = [], {}, []
    for name, value in state.items():
        ours = our_name(name)
        if ours is not None:
            found[ours] = value
        elif name.startswith(NETWORK) and name not in (*SPECIAL, *UNUSED):
            unknown.append(name)
        elif name not in SPECIAL:
            left.append(name)
    lacking = [name for name in SPECIAL if name not in state]
    if unknown or lacking:
        what = f"lacks {lacking[0]}" if lacking else f"has {unknown[0]}"
        raise CallError(f"{file} is of another network than HMR 2.0: it {what}; expected its hmr2.ckpt")
    position, query, bias, weight, pose_bias, pose, camera = (state[name].float() for name in SPECIAL)
    found |= {
        "vit.position": position[0],
        "tokens.queries": query[0] + bias,
        "pose_head.weight": weight[: 6 * POSED],
        "pose_head.bias": pose_bias[: 6 * POSED],
        "mean_pose": pose.reshape(-1, 6)[:POSED],
        "mean_camera": camera.reshape(-1),
        "origin": pelvis_of(state),
    }
    return found, left


def pelvis_of(state: Mapping[str, Tensor]) -> Float[Tensor, "2"]:
    """Where SMPL's pelvis lies from its origin: it turns about the one, and the camera places the other."""
    if any(name not in state for name in BODY):
        log.info("no SMPL beside the weights: its pelvis is taken to lie at %s m, within 2 cm", PELVIS)
        return torch.tensor(PELVIS)
    regressor, template = (state[name].to_dense().float() for name in BODY)
    return (regressor[0] @ template)[:2]


def our_name(name: str) -> str | None:
    """Of a tensor that is taken as it is; None for others."""
    module, _, kind = name.rpartition(".")
    number = re.search(r"(?<=\.blocks\.)\d+|(?<=\.layers\.)\d+", module)
    pattern = module if number is None else f"{module[: number.start()]}{{}}{module[number.end() :]}"
    ours = NAMES.get(pattern)
    return None if ours is None else f"{ours.format(number and number.group())}.{kind}"
