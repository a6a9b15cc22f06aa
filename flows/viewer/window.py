"""The viser window of a scene: 3D nodes and the controls beside them.

viser's world has the axes of whoever fills it: our OpenCV axes go in unchanged, with "-y" as the up
direction, and its camera frustums look along +z with y down as ours do.
"""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import viser.uplot

from turnaround.flows.viewer.facets import Facet, facets
from turnaround.flows.viewer.guard import guarded_server, quiet
from turnaround.flows.viewer.scene import (
    LABELS,
    Choice,
    Scene,
    first_choice,
    gaussians_step,
    mesh_step,
    moved,
    quality_lines,
)
from turnaround.flows.viewer.splats import UNIT, splat_arrays, splat_buffer
from turnaround.flows.viewer.start import FOV, start_camera
from turnaround.pipeline.formats import textured_glb
from turnaround.pipeline.values.camera import camera_center
from turnaround.pipeline.values.rotation import matrix_to_quat
from turnaround.pipeline.values.types import Camera, Gaussians, Mesh, TexturedMesh

if TYPE_CHECKING:
    from turnaround.flows.viewer.movement import Movement

_COLORS = ("#1b5fad", "#c23b22", "#3a923a", "#9467bd", "#c69c1d", "#666666", "#d670ad", "#17a2b8")
_FRUSTUM = 0.1  # of the input camera: its picture is 25 cm high, no rival of the person
_BODY_COLOR = (120, 170, 230)


class Window:
    """A running viewer; every browser that looks at it shares the controls."""

    def __init__(self, scene: Scene, host: str, port: int) -> None:
        self.scene, self.choice = scene, first_choice(scene)
        self.server = guarded_server(host, port, f"{scene.subject} · Turnaround")
        self.port = self.server.get_port()
        self._quiet = False  # while the controls are set by the program
        self._body_model: Any = None
        self._sending = threading.Lock()  # of the Gaussians that are shown
        self.movement: Movement | None = None
        if scene.avatar is not None:
            from turnaround.flows.viewer.movement import Movement

            self.movement = Movement(scene.avatar, self._send, self._send_mesh)
        self._add_world()
        self._add_controls()
        self._show()
        if self.movement is not None:
            self.movement.start()

    def wait(self) -> None:
        """Block until interrupted."""
        while True:
            time.sleep(1)

    def close(self) -> None:
        """Stop serving."""
        if self.movement is not None:
            self.movement.close()
        with quiet():
            self.server.stop()

    def _add_world(self) -> None:
        scene, world = self.scene, self.server.scene
        world.set_up_direction("-y")
        world.set_background_image(np.full((2, 2, 3), 255, np.uint8))
        camera = self.server.initial_camera
        camera.position, camera.look_at = start_camera(scene)
        camera.up, camera.fov = (0.0, -1.0, 0.0), FOV
        # one node for the Gaussians of all stages: browsers sort again what they all hold together
        self.splats: Any = None
        self._splats_step: int | None = gaussians_step(scene, self.choice)
        if self._splats_step is not None:
            arrays = splat_arrays(_there(scene.steps[self._splats_step].gaussians))
            self.splats = world.add_gaussian_splats("/gaussians", visible=False, scale=UNIT, **arrays)
        self.meshes = {
            k: self._add_mesh(f"/mesh/{step.stage}", step.mesh)
            for k, step in enumerate(scene.steps)
            if step.mesh is not None
        }
        self.moving: list[tuple[Facet, Any]] = []  # parts of the mesh that moves, once it is asked for
        self.body = self._add_body()
        self.frustum = None if scene.view is None else self._add_camera(scene.view)

    def _add_mesh(self, name: str, mesh: Mesh | TexturedMesh) -> Any:
        world = self.server.scene
        if isinstance(mesh, Mesh):
            return world.add_mesh_trimesh(name, _trimesh(mesh), visible=False)
        ground = (0.0, float(mesh.vertices[:, 1].max()), 0.0)  # the file is y-up and stands on y = 0
        return world.add_glb(
            name, textured_glb.encode(mesh), wxyz=(0.0, 1.0, 0.0, 0.0), position=ground, visible=False
        )

    def _add_body(self) -> Any:
        """The body's node, or None where there is no body or its model is not on this machine
        (`self.body_fault` says which)."""
        from turnaround.models.body.model import BodyModel

        self.body_fault = "" if self.scene.bodies else "no body yet"
        if not self.scene.bodies:
            return None
        name = self.scene.body_model
        try:
            self._body_model = BodyModel.load(None if name == "body" else Path(name))
        except (OSError, ValueError) as error:
            self.body_fault = str(error)
            return None
        faces = self._body_model.faces.numpy()
        return self.server.scene.add_mesh_simple(
            "/body", self.body_vertices(0), faces, color=_BODY_COLOR, visible=False
        )

    def body_vertices(self, iteration: int) -> np.ndarray:
        """(v, 3) of one of the scene's bodies, metres."""
        import torch

        with torch.no_grad():
            return self._body_model(self.scene.bodies[iteration]).vertices.numpy()

    def _add_camera(self, view: Any) -> Any:
        camera = view.camera
        return self.server.scene.add_camera_frustum(
            "/camera",
            fov=2 * math.atan(_half(camera)),
            aspect=camera.width / camera.height,
            scale=_FRUSTUM,
            thickness=0.003,
            color=(90, 90, 90),
            image=(view.image.clamp(0, 1).numpy() * 255).round().astype(np.uint8),
            wxyz=matrix_to_quat(camera.T_camera_world[:3, :3].T).numpy(),  # of T_world_camera
            position=camera_center(camera).numpy(),
        )

    def _add_controls(self) -> None:
        scene, gui = self.scene, self.server.gui
        gui.main_panel.dock_right()
        gui.configure_theme(control_width="large", show_logo=False, show_share_button=False)
        gui.add_markdown(f"## {_escaped(scene.subject)}")
        labels = tuple((k, LABELS[step.stage]) for k, step in enumerate(scene.steps))
        self.stage = gui.add_slider("Stage", 0, len(scene.steps) - 1, 1, self.choice.step, marks=labels)
        self.stage.on_update(lambda _: self._set(moved(scene, self.choice, int(self.stage.value))))
        self.toggles = {}
        there = {
            "gaussians": self.splats is not None,
            "mesh": bool(self.meshes) or self.movement is not None,
            "body": self.body is not None,
            "camera": self.frustum is not None,
        }
        for name, label in {
            "gaussians": "Gaussians",
            "mesh": "Mesh",
            "body": "Body",
            "camera": "Input camera, photo",
        }.items():
            toggle = gui.add_checkbox(label, getattr(self.choice, name), disabled=not there[name])
            toggle.on_update(
                lambda _, name=name, toggle=toggle: self._set(
                    dataclasses.replace(self.choice, **{name: toggle.value})
                )
            )
            self.toggles[name] = toggle
        front = gui.add_button("From the input camera")
        front.on_click(lambda _: self.show_from_input())
        self.note = gui.add_markdown("")
        if self.movement is not None:
            self.movement.add_controls(gui, self.show_moving)
        self._add_refinement()
        with gui.add_folder(
            "Stages", expand_by_default=any(state != "made" for state in scene.states.values())
        ):
            gui.add_markdown(
                "\n".join(f"- `{stage}`: {_escaped(state)}" for stage, state in scene.states.items())
            )

    def _add_refinement(self) -> None:
        scene, gui = self.scene, self.server.gui
        self.iteration = None
        with gui.add_folder("Refinement"):
            if self.body is not None and len(scene.bodies) > 1:
                last = len(scene.bodies) - 1
                names = {0: "estimate", last: str(last)} | {scene.kept: "kept"}
                self.iteration = gui.add_slider(
                    "Iteration", 0, last, 1, self.choice.iteration, marks=tuple(names.items())
                )
                self.iteration.on_update(lambda _: self._to_iteration())
            self.values = gui.add_markdown("")
            lines = quality_lines(scene)
            if lines:
                gui.add_markdown("\n".join(f"- {_escaped(line, keep='*')}" for line in lines))
            if scene.losses:
                gui.add_uplot(
                    *_plot(scene),
                    title="losses (logarithmic)",
                    scales={"x": {"time": False}, "y": {"distr": 3}},
                    aspect=1.6,
                )

    def _to_iteration(self) -> None:
        if self.iteration is not None:
            self._set(dataclasses.replace(self.choice, iteration=int(self.iteration.value), body=True))

    def _set(self, choice: Choice) -> None:
        if not self._quiet and choice != self.choice:
            self.choice = choice
            self._show()

    def _show(self) -> None:
        """Nodes and controls as the choice says."""
        scene, choice = self.scene, self.choice
        with self.server.atomic():
            self._show_moving()  # first: from then on no Gaussians come in between
            self._show_splats(gaussians_step(scene, choice))
            for k, node in self.meshes.items():
                node.visible = k == mesh_step(scene, choice)
            for node, shown in ((self.body, choice.body), (self.frustum, choice.camera)):
                if node is not None:
                    node.visible = shown
            if self.body is not None and choice.body:
                self.body.vertices = self.body_vertices(choice.iteration)
            self._show_controls()

    def _show_splats(self, step: int | None) -> None:
        if self.splats is None:
            return
        self.splats.visible = step is not None
        moves = step is not None and self.scene.steps[step].stage == "rig"
        with self._sending:
            if step is not None and step != self._splats_step and not moves:
                self.splats.buffer = splat_buffer(_there(self.scene.steps[step].gaussians))
            self._splats_step = self._splats_step if step is None else step

    def _show_moving(self) -> None:
        """The person who moves, as Gaussians, as a mesh, or not at all."""
        if self.movement is None:
            return
        here = self.scene.steps[self.choice.step].stage == "rig"
        if here and self.choice.mesh and not self.moving:
            mesh = self.movement.puppet.mesh
            rest = mesh.vertices.numpy()
            for number, facet in enumerate(facets(mesh)):
                node = self.server.scene.add_mesh_simple(
                    f"/moving/{number}", facet.of(rest), facet.faces, color=facet.color, side="double",
                    flat_shading=True, visible=False,
                )  # fmt: skip
                self.moving.append((facet, node))
        for _, node in self.moving:
            node.visible = here and self.choice.mesh
        self.movement.show(here and self.choice.gaussians, here and self.choice.mesh)

    def _send_mesh(self, vertices: np.ndarray) -> None:
        """Vertices of the moving person to the browsers."""
        with self.server.atomic():
            for facet, node in self.moving:
                node.vertices = facet.of(vertices)

    def _send(self, buffer: np.ndarray) -> None:
        """Gaussians of the moving person to the browsers."""
        with self._sending:
            if self.splats is not None and self.movement is not None and self.movement.shown:
                self.splats.buffer = buffer

    def show_moving(self) -> None:
        """The stop of the stage slider at which the person moves."""
        steps = [k for k, step in enumerate(self.scene.steps) if step.stage == "rig"]
        if steps and self.choice.step != steps[0]:
            self._set(moved(self.scene, self.choice, steps[0]))

    def _show_controls(self) -> None:
        scene, choice = self.scene, self.choice
        self._quiet = True
        try:
            self.stage.value = choice.step
            for name, toggle in self.toggles.items():
                toggle.value = getattr(choice, name)
            if self.iteration is not None:
                self.iteration.value = choice.iteration
        finally:
            self._quiet = False
        missing = [
            scene.steps[choice.step].missing,
            self.body_fault if choice.body or not scene.bodies else "",
        ]
        self.note.content = "\n\n".join(f"**Missing** {_escaped(text)}" for text in missing if text)
        at = [
            f"{name} {values[choice.iteration]:.4f}"
            for name, values in scene.losses.items()
            if choice.iteration < len(values)
        ]
        self.values.content = f"Losses at {choice.iteration}: {', '.join(at)}" if at else ""

    def show_from_input(self) -> None:
        """Every browser's camera to where the photo was taken, with all of the photo's field of view; the
        photo itself, which would hide the person, is put away."""
        if self.scene.view is None:
            return
        camera = self.scene.view.camera
        self._set(dataclasses.replace(self.choice, camera=False))
        for client in self.server.get_clients().values():
            with client.atomic():
                client.camera.up_direction = (0.0, -1.0, 0.0)
                client.camera.position = camera_center(camera).numpy()
                client.camera.look_at = (0.0, 0.0, 0.0)
                client.camera.fov = 2 * math.atan(_half(camera) / min(1.0, client.camera.aspect))


def _half(camera: Camera) -> float:
    """Tangent of half the field of view, over the picture's height."""
    return camera.height / 2 / float(camera.K[1, 1])


def _there(gaussians: Gaussians | None) -> Gaussians:
    assert gaussians is not None
    return gaussians


def _trimesh(mesh: Mesh) -> Any:
    import trimesh

    colors = (mesh.colors.clamp(0, 1).numpy() * 255).round().astype(np.uint8)
    return trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces.numpy(), vertex_colors=colors, process=False)


def _plot(scene: Scene) -> tuple[tuple[np.ndarray, ...], tuple[Any, ...]]:
    """Iterations and losses with their lines, for uPlot; what is not positive has no place on a logarithmic
    axis."""
    losses = {name: np.asarray(values) for name, values in scene.losses.items() if np.nanmax(values) > 0}
    rows = (
        np.arange(len(scene.trace["iterations"]), dtype=float),
        *(np.where(v > 0, v, np.nan) for v in losses.values()),
    )
    lines = [
        viser.uplot.Series(label=name, stroke=color, width=2)
        for name, color in zip(losses, _COLORS, strict=False)
    ]
    return rows[: len(lines) + 1], (viser.uplot.Series(label="iteration"), *lines)


def _escaped(text: str, keep: str = "") -> str:
    """One line of text that stays text in Markdown with HTML in it."""
    special = set("<>&*_`[]()#!\\{}|~:") - set(keep)
    return "".join(f"&#{ord(c)};" if c in special else c for c in " ".join(text.split()))
