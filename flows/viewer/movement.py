"""The viewer's controls of a rigged person, and the thread that moves them: clips, joints, face and shape."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from turnaround.flows.viewer.posing import CLIPS, COUNT, Pose, Puppet
from turnaround.models.avatar.avatar import Avatar
from turnaround.models.body.skeleton import JOINT_NAMES

if TYPE_CHECKING:
    from viser import GuiApi

log = logging.getLogger(__name__)

FPS = 20.0  # at most: what a browser takes in, at five megabytes a picture
_SPEEDS = (0.1, 2.0)
_DEGREES = 120.0
_MOST = 3.0  # of betas and coefficients of the expression: standard deviations of people
_FIRST_JOINT = "left_shoulder"
_AXES = ("x, to the left", "y, up", "z, to the front")


class Movement:
    """What is asked for by the controls, and its Gaussians and mesh, sent as fast as they are made."""

    def __init__(
        self, avatar: Avatar, send: Callable[[np.ndarray], object], send_mesh: Callable[[np.ndarray], object]
    ) -> None:
        """Begin with the person of the photo.

        Args:
            avatar: the person.
            send: takes a buffer of Gaussians as viser keeps them.
            send_mesh: takes the vertices of `puppet.mesh`.
        """
        self.puppet, self.pose, self.playing = Puppet(avatar), Pose(), False
        self.shown = False  # whether anybody sees the Gaussians; else they are not sent
        self.mesh_shown = False
        self.sent = 0
        self._speed, self._frame, self._quiet = 1.0, 0, False
        self._last: Pose | None = None  # that was sent
        self._send, self._send_mesh = send, send_mesh
        self._wake, self._ended = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="movement", daemon=True)

    def add_controls(self, gui: GuiApi, ask: Callable[[], object]) -> None:
        """Add the folder; `ask` is called when the person is to be seen moving."""
        self._ask = ask
        with gui.add_folder("Movement"):
            self.clip = gui.add_dropdown("Clip", CLIPS, initial_value=CLIPS[0])
            self.play = gui.add_checkbox("Play", False, disabled=True)
            self.frame = gui.add_slider("Frame", 0, 1, 1, 0, disabled=True)
            self.speed = gui.add_slider("Speed", *_SPEEDS, 0.1, 1.0)
            with gui.add_folder("Joints", expand_by_default=False):
                self.joint = gui.add_dropdown("Joint", JOINT_NAMES, initial_value=_FIRST_JOINT)
                self.angles = [gui.add_slider(axis, -_DEGREES, _DEGREES, 1.0, 0.0) for axis in _AXES]
            with gui.add_folder("Face", expand_by_default=False):
                self.expression = [
                    gui.add_slider(f"expression {k}", -_MOST, _MOST, 0.1, 0.0) for k in range(COUNT)
                ]
            with gui.add_folder("Shape", expand_by_default=False):
                self.betas = [gui.add_slider(f"betas {k} +", -_MOST, _MOST, 0.1, 0.0) for k in range(COUNT)]
            self.reset_button = gui.add_button("As in the photo")
        self.clip.on_update(lambda _: self.choose(self.clip.value))
        self.play.on_update(lambda _: self.run(self.play.value))
        self.frame.on_update(lambda _: self._seek(int(self.frame.value)))
        self.speed.on_update(lambda _: setattr(self, "_speed", float(self.speed.value)))
        self.joint.on_update(lambda _: self._show_angles())
        for slider in self.angles:
            slider.on_update(lambda _: self._turn())
        for slider in (*self.expression, *self.betas):
            slider.on_update(lambda _: self._shape())
        self.reset_button.on_click(lambda _: self.reset())

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ended = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def show(self, shown: bool, mesh: bool) -> None:
        """Whether the person's Gaussians are seen, and whether their mesh is; if so, it is sent anew."""
        if (shown and not self.shown) or (mesh and not self.mesh_shown):
            self._last = None
        self.shown, self.mesh_shown = shown, mesh
        self._wake.set()

    def choose(self, clip: str) -> None:
        """Play a clip from its start; those of one frame are shown."""
        if clip == self.pose.clip:
            return
        motion = self.puppet.clip(clip)
        moves = len(motion) > 1
        self._frame = 0
        self.pose = replace(self.pose, clip=clip, time=0.0)
        self.clip.value = clip
        self.frame.max = max(len(motion) - 1, 1)
        self.frame.value = 0
        self.frame.disabled = self.play.disabled = not moves
        self.run(moves)
        self._asked()

    def run(self, on: bool) -> None:
        """Play or pause."""
        self.playing = on and len(self.puppet.clip(self.pose.clip)) > 1
        self.play.value = self.playing  # calls this again where it was not, to no effect
        self._asked()

    def reset(self) -> None:
        """The person of the photo, nothing changed."""
        self.choose(CLIPS[0])
        self.pose = Pose()
        with self._setting():
            for slider in (*self.angles, *self.expression, *self.betas):
                slider.value = 0.0
        self._asked()

    @contextlib.contextmanager
    def _setting(self) -> Generator[None, None, None]:
        """While controls are set by the program, whose callbacks viser calls as if a person had."""
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False

    def _seek(self, frame: int) -> None:
        if frame == self._frame:  # set by the program
            return
        self._frame = frame
        self.pose = replace(self.pose, time=frame / self.puppet.clip(self.pose.clip).fps)
        self.run(False)

    def _turn(self) -> None:
        here = (float(self.angles[0].value), float(self.angles[1].value), float(self.angles[2].value))
        turns = {**self.pose.turns, self.joint.value: here}
        self._change(replace(self.pose, turns={name: turn for name, turn in turns.items() if any(turn)}))

    def _show_angles(self) -> None:
        turn = self.pose.turns.get(self.joint.value, (0.0, 0.0, 0.0))
        with self._setting():
            for slider, degrees in zip(self.angles, turn, strict=True):
                slider.value = degrees

    def _shape(self) -> None:
        expression, betas = (tuple(float(s.value) for s in each) for each in (self.expression, self.betas))
        self._change(replace(self.pose, expression=expression, betas=betas))

    def _change(self, pose: Pose) -> None:
        if pose != self.pose and not self._quiet:
            self.pose = pose
            self._asked()

    def _asked(self) -> None:
        self._ask()
        self._wake.set()

    def _run(self) -> None:
        before = time.monotonic()
        while not self._ended:
            spent = time.monotonic() - before
            moving = self.playing and (self.shown or self.mesh_shown)
            self._wake.wait(max(0.0, 1 / FPS - spent) if moving else None)
            self._wake.clear()
            now = time.monotonic()
            try:
                self._advance(now - before if moving else 0.0)
            except Exception:
                log.exception("the person cannot be moved")
                self.playing = False
            before = now

    def _advance(self, seconds: float) -> None:
        """Send what is asked for now, `seconds` later than last."""
        if self._ended or not (self.shown or self.mesh_shown):
            return
        if self.playing and seconds > 0:
            motion = self.puppet.clip(self.pose.clip)
            later = (self.pose.time + seconds * self._speed) % max(motion.duration, 1e-6)
            self.pose = replace(self.pose, time=later)
            self._frame = round(later * motion.fps)
            self.frame.value = self._frame
        pose = self.pose
        if pose != self._last:
            if self.shown:
                self._send(self.puppet.buffer(pose))
            if self.mesh_shown:
                self._send_mesh(self.puppet.vertices(pose))
            self._last = pose
            self.sent += 1
