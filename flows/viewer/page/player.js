// Plays clips on a rig: play, pause, a slider of frames, speeds; the camera goes along.
import * as THREE from "three";
import { Rig, clipsOf } from "turnaround/motion";
import { buttons } from "turnaround/buttons";
import { groundOf } from "turnaround/ground";

const element = (id) => document.getElementById(id);
const clock = (seconds) => `${seconds.toFixed(2)} s`;
const titled = (name) => (name.charAt(0).toUpperCase() + name.slice(1)).replaceAll("_", " ");
const apart = (name) => titled(name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)); // blinkLeft: Blink left

function rigOf(person, kinds) {
  const rig = new Rig(person.rig);
  for (const name of ["Mesh", "Shape"]) if (kinds[name]) rig.bindMesh(kinds[name], { ...person.meshskin, count: person.mesh.vertices });
  if (kinds.Gaussians) rig.bindSplats(kinds.Gaussians, { ...person, skin: person.splatskin });
  rig.bindFace(person.face, kinds.Mesh);
  return rig;
}

// asked: what the address says (clip, time, play); follow(x, z): the person is there now; redraw: the picture is old.
export function playerOf(person, kinds, { asked, parent, follow, redraw }) {
  const rig = rigOf(person, kinds), clips = clipsOf({ ...person.clips }), ground = groundOf(person.floor);
  const slider = element("frame"), play = element("play"), speeds = element("speed"), faces = element("face");
  parent.add(ground);
  let clip = clips[0], time = 0, wanted = false, playing = false; // wanted: also after a clip of one frame

  const show = () => {
    const at = rig.pose(clip, time);
    ground.position.set(at.x, person.floor, at.y);
    follow(at.x, at.y);
    slider.value = Math.round(time * clip.fps);
    slider.setAttribute("aria-valuetext", `${clock(time)} of ${clock(clip.duration)}`);
    element("time").textContent = `${time.toFixed(2)} / ${clock(clip.duration)}`;
    document.body.dataset.shown = `${clip.name} ${time.toFixed(4)}`;
    redraw();
  };
  const run = (on) => {
    wanted = on;
    playing = on && clip.duration > 0;
    play.setAttribute("aria-label", playing ? "Pause" : "Play");
    play.dataset.playing = String(playing);
    redraw();
  };
  const seek = (seconds) => { time = Math.min(Math.max(seconds, 0), clip.duration); show(); };
  const take = (name) => {
    clip = clips.find((each) => each.name === name) ?? clip;
    slider.max = clip.frames - 1;
    slider.disabled = play.disabled = clip.frames < 2;
    run(wanted);
    seek(0);
    return clip.name;
  };
  const press = buttons("clips", clips.map(({ name }) => name), (name) => { wanted = true; return take(name); }, titled);
  const choose = (name) => press(take(name));
  const stepTo = (frames) => { run(false); seek(Math.round(time * clip.fps + frames) / clip.fps); };
  const turnTo = (by) => choose(clips[(clips.indexOf(clip) + by + clips.length) % clips.length].name);
  const setGround = (on) => {
    ground.visible = on;
    element("ground").setAttribute("aria-pressed", String(on));
    redraw();
  };

  const setFace = (name) => {
    const found = person.face.choices.find((each) => each.name === name);
    rig.chosen = found?.shares ?? null;
    faces.value = found?.name ?? "";
    show();
  };

  faces.append(...person.face.choices.map(({ name }) => new Option(apart(name), name)));
  faces.hidden = person.face.count === 0;
  faces.onchange = () => setFace(faces.value);
  slider.oninput = () => { run(false); seek(Number(slider.value) / clip.fps); };
  play.onclick = () => run(!wanted);
  element("ground").onclick = () => setGround(!ground.visible);
  choose(asked.get("clip"));
  seek(Number(asked.get("time")) || 0);
  setFace(asked.get("face"));
  setGround(asked.get("ground") !== "no");
  const still = asked.has("time") || asked.get("play") === "no" || window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  return {
    start: () => run(!still),
    advance: (seconds) => {
      if (!playing) return;
      time = THREE.MathUtils.euclideanModulo(time + seconds * Number(speeds.value), clip.duration);
      show();
    },
    light: (name) => { ground.material.uniforms.dark.value = name === "dark" ? 1 : 0; },
    keys: { " ": () => run(!wanted), ",": () => stepTo(-1), ".": () => stepTo(1), "[": () => turnTo(-1), "]": () => turnTo(1), g: () => setGround(!ground.visible) },
  };
}
