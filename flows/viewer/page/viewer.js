// Shows one person: Gaussians and mesh, in our world turned by 180 degrees about x (OpenCV's y down becomes three's y up).
import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { SparkRenderer } from "@sparkjsdev/spark";
import { buttons } from "turnaround/buttons";
import { contents } from "turnaround/contents";

const SIDES = { Front: 0, Right: 90, Back: 180, Left: 270 };
const BACKGROUNDS = { light: "#ffffff", dark: "#16181b" };
const TALL = 40; // degrees: no nearer to straight above or below by keys

export async function start(person) {
  const stage = document.getElementById("stage");
  const renderer = new THREE.WebGLRenderer({ antialias: true });
  renderer.setPixelRatio(Math.min(window.devicePixelRatio, 2));
  stage.append(renderer.domElement);
  const scene = new THREE.Scene();
  let stale = 30; // frames still to draw: the order of the Gaussians comes from a worker, some frames later
  const redraw = () => { stale = 30; };
  // 0.3 px of blur, without compensation: as the renderer that the networks were trained with
  const spark = new SparkRenderer({ renderer, onDirty: redraw, preBlurAmount: 0.3, blurAmount: 0, sortRadial: false, accumExtSplats: Boolean(person.rig) });
  scene.add(spark);

  const turned = new THREE.Group();
  turned.rotation.x = Math.PI;
  scene.add(turned);
  const kinds = await contents(person, renderer);
  const show = (kind) => {
    for (const [name, object] of Object.entries(kinds)) object.visible = name === kind;
    redraw();
    return kind;
  };
  for (const object of Object.values(kinds)) turned.add(object);

  const camera = new THREE.PerspectiveCamera(50, 1, 0.05, 50);
  const controls = new OrbitControls(camera, renderer.domElement);
  Object.assign(controls, { minDistance: 0.3, maxDistance: 8, zoomSpeed: 0.8, autoRotateSpeed: 6 });
  controls.addEventListener("change", redraw);
  const centre = new THREE.Vector3(0, -person.middle, 0); // of the person; follow() moves it
  const lookFrom = (degrees, tilt = 0, distance = person.distance) => {
    controls.target.copy(centre);
    camera.position.setFromSphericalCoords(distance, ((90 - tilt) * Math.PI) / 180, (degrees * Math.PI) / 180).add(centre);
    controls.update();
    redraw();
  };
  const follow = (x, z) => {
    const way = new THREE.Vector3(x - centre.x, 0, -z - centre.z);
    for (const point of [centre, controls.target, camera.position]) point.add(way);
    document.body.dataset.centre = `${x} ${z}`;
    if (way.lengthSq() > 0) controls.update();
  };
  const resize = () => {
    const width = window.innerWidth, height = window.innerHeight;
    renderer.setSize(width, height, false);
    camera.aspect = width / height;
    // the person's field of view belongs to the shorter side of what the buttons leave free; who moves has one for each side
    const bar = document.querySelector("nav").offsetHeight, free = height - (bar ? bar + 12 : 0);
    camera.fov = (2 * Math.atan(Math.max(person.tangent, (person.wide ?? person.tangent) * (free / width)) * (height / free)) * 180) / Math.PI;
    camera.setViewOffset(width, height, 0, (height - free) / 2, width, height); // updates the projection
    redraw();
  };
  const asked = new URLSearchParams(window.location.hash.slice(1)); // #azimuth=90&show=Mesh&background=dark
  const first = asked.get("show") in kinds ? asked.get("show") : Object.keys(kinds)[0];
  const player = person.rig ? (await import("turnaround/player")).playerOf(person, kinds, { asked, parent: turned, follow, redraw }) : null;
  const light = (name) => {
    document.body.className = name;
    scene.background = new THREE.Color(BACKGROUNDS[name]);
    player?.light(name);
    redraw();
  };
  const turn = (on) => {
    controls.autoRotate = on;
    document.getElementById("turn").setAttribute("aria-pressed", String(on));
    redraw();
  };
  const reset = (degrees = 0) => { turn(false); lookFrom(degrees); };
  const step = (degrees, tilt = 0, nearer = 1) => {
    const up = 90 - (controls.getPolarAngle() * 180) / Math.PI + tilt, distance = controls.getDistance() * nearer;
    lookFrom((controls.getAzimuthalAngle() * 180) / Math.PI + degrees, THREE.MathUtils.clamp(up, -TALL, 2 * TALL), THREE.MathUtils.clamp(distance, 0.3, 8));
  };
  const toggle = () => light(document.body.className === "light" ? "dark" : "light");
  window.addEventListener("resize", resize);
  resize();
  light(asked.get("background") === "dark" ? "dark" : "light");
  reset(Number(asked.get("azimuth")) || 0);
  buttons("kinds", Object.keys(kinds), show)(show(first));
  buttons("sides", Object.keys(SIDES), (side) => { lookFrom(SIDES[side]); });
  document.getElementById("facts").textContent = person.facts;
  document.getElementById("turn").onclick = () => turn(!controls.autoRotate);
  document.getElementById("reset").onclick = () => reset();
  document.getElementById("background").onclick = toggle;
  document.getElementById("about").onclick = () => document.getElementById("notices").showModal();
  const keys = {
    r: () => reset(), b: toggle, t: () => turn(!controls.autoRotate), ArrowLeft: () => step(-15), ArrowRight: () => step(15),
    ArrowUp: () => step(0, 10), ArrowDown: () => step(0, -10), "+": () => step(0, 0, 1 / 1.15), "-": () => step(0, 0, 1.15),
    ...Object.fromEntries(Object.values(SIDES).map((degrees, k) => [String(k + 1), () => lookFrom(degrees)])), ...player?.keys,
  };
  window.addEventListener("keydown", (event) => {
    const { key, ctrlKey, metaKey, altKey, target } = event;
    const own = target.closest?.("input, select, dialog") || (key === " " && target.closest?.("button")); // they know these keys themselves
    if (ctrlKey || metaKey || altKey || own || !keys[key]) return;
    event.preventDefault();
    keys[key]();
  });

  await new Promise((resolve) => {
    let frames = 0;
    const clock = new THREE.Timer();
    renderer.setAnimationLoop((now) => {
      clock.update(now);
      player?.advance(Math.min(clock.getDelta(), 0.25)); // a page that was hidden goes on where it was
      if (controls.autoRotate) controls.update(clock.getDelta()); // tells of its change, which draws
      if (stale > 0) { stale -= 1; renderer.render(scene, camera); }
      if (++frames === 10) resolve();
    });
  });
  resize(); // the buttons have their sizes now
  player?.start();
  document.body.dataset.ready = "yes";
}
