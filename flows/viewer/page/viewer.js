// Shows one person: Gaussians and mesh, in our world turned by 180 degrees about x (OpenCV's y down becomes three's y up).
import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { SparkRenderer, SplatMesh } from "@sparkjsdev/spark";

const SIDES = { Front: 0, Right: 90, Back: 180, Left: 270 };
const BACKGROUNDS = { light: "#ffffff", dark: "#16181b" };

function meshOf({ bytes, vertices, faces, low, size, wide, textured }) {
  // uint16 positions in the box, uint16 or uint32 indices, then uint8 sRGB colours, or uint16 texture coordinates and a JPEG:
  // the order keeps every array aligned
  const positions = new Float32Array(3 * vertices);
  const Index = wide ? Uint32Array : Uint16Array;
  const indices = new Index(bytes.buffer, 0, 3 * faces);
  const places = new Uint16Array(bytes.buffer, indices.byteLength, 3 * vertices);
  for (let i = 0; i < positions.length; i++) positions[i] = low[i % 3] + (places[i] / 65535) * size[i % 3];
  const geometry = new THREE.BufferGeometry();
  geometry.setAttribute("position", new THREE.BufferAttribute(positions, 3));
  geometry.setIndex(new THREE.BufferAttribute(indices, 1));
  geometry.setAttribute("normal", normalsOf(geometry, places));
  const end = indices.byteLength + places.byteLength;
  if (textured) geometry.setAttribute("uv", new THREE.BufferAttribute(new Uint16Array(bytes.buffer, end, 2 * vertices), 2, true));
  else geometry.setAttribute("color", new THREE.BufferAttribute(linear(new Uint8Array(bytes.buffer, end, 3 * vertices)), 3));
  return geometry;
}

function linear(paint) {
  const table = Float32Array.from({ length: 256 }, (_, v) => new THREE.Color().setRGB(v / 255, 0, 0, THREE.SRGBColorSpace).r);
  return Float32Array.from(paint, (value) => table[value]);
}

function normalsOf(geometry, places) {
  // one normal for all vertices at a place, so that the seams of an atlas do not show
  const first = new Map();
  const same = Uint32Array.from({ length: places.length / 3 }, (_, i) => {
    const place = (places[3 * i] * 65536 + places[3 * i + 1]) * 65536 + places[3 * i + 2];
    if (!first.has(place)) first.set(place, i);
    return first.get(place);
  });
  const joined = new THREE.BufferGeometry();
  joined.setAttribute("position", geometry.getAttribute("position"));
  joined.setIndex(new THREE.BufferAttribute(Uint32Array.from(geometry.index.array, (i) => same[i]), 1));
  joined.computeVertexNormals();
  const normals = joined.getAttribute("normal");
  for (let i = 0; i < same.length; i++) if (same[i] !== i) normals.setXYZ(i, normals.getX(same[i]), normals.getY(same[i]), normals.getZ(same[i]));
  return normals;
}

async function skinOf({ bytes, vertices, faces, wide, textured }, renderer) {
  if (!textured) return { vertexColors: true };
  const start = faces * 3 * (wide ? 4 : 2) + vertices * 10;
  const texture = new THREE.Texture(await createImageBitmap(new Blob([bytes.subarray(start)], { type: "image/jpeg" })));
  Object.assign(texture, { flipY: false, colorSpace: THREE.SRGBColorSpace, anisotropy: renderer.capabilities.getMaxAnisotropy(), needsUpdate: true });
  return { map: texture };
}

function splatFile({ bytes, count }) {
  // the page keeps the first bytes of all records, then their second bytes and so on
  const records = new Uint8Array(bytes.length), width = bytes.length / count;
  for (let i = 0; i < count; i++) for (let k = 0; k < width; k++) records[i * width + k] = bytes[k * count + i];
  return records;
}

async function contents(person, renderer) {
  const kinds = {};
  if (person.splats) {
    const splats = new SplatMesh({ fileBytes: splatFile(person.splats), fileType: "splat", fileName: "person.splat", extSplats: true });
    await splats.initialized;
    kinds.Gaussians = splats;
  }
  if (person.mesh) {
    const geometry = meshOf(person.mesh);
    kinds.Mesh = new THREE.Mesh(geometry, new THREE.MeshBasicMaterial({ ...(await skinOf(person.mesh, renderer)), side: THREE.DoubleSide }));
    kinds.Shape = new THREE.Mesh(geometry, new THREE.MeshNormalMaterial({ side: THREE.DoubleSide }));
  }
  return kinds;
}

function buttons(id, names, act) {
  // act(name) tells which button is pressed from then on, none by default
  const press = (chosen) => all.forEach((button) => button.setAttribute("aria-pressed", String(button.textContent === chosen)));
  const all = names.map((name) => {
    const button = document.createElement("button");
    button.textContent = name;
    button.onclick = () => press(act(name));
    return button;
  });
  document.getElementById(id).append(...all);
  return press;
}

export async function start(person) {
  const stage = document.getElementById("stage");
  const renderer = new THREE.WebGLRenderer({ antialias: true });
  renderer.setPixelRatio(Math.min(window.devicePixelRatio, 2));
  stage.append(renderer.domElement);
  const scene = new THREE.Scene();
  let stale = 30; // frames still to draw: the order of the Gaussians comes from a worker, some frames later
  const redraw = () => { stale = 30; };
  // 0.3 px of blur, without compensation: as the renderer that the networks were trained with
  const spark = new SparkRenderer({ renderer, onDirty: redraw, preBlurAmount: 0.3, blurAmount: 0, sortRadial: false });
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
  const lookFrom = (degrees) => {
    const angle = (degrees * Math.PI) / 180;
    controls.target.set(0, -person.middle, 0);
    camera.position.set(Math.sin(angle) * person.distance, -person.middle, Math.cos(angle) * person.distance);
    controls.update();
    redraw();
  };
  const resize = () => {
    const width = window.innerWidth, height = window.innerHeight;
    renderer.setSize(width, height, false);
    camera.aspect = width / height;
    // the person's field of view belongs to the shorter side of what the buttons leave free
    const bar = document.querySelector("nav").offsetHeight, free = height - (bar ? bar + 12 : 0);
    camera.fov = (2 * Math.atan(Math.max(1, free / width) * person.tangent * (height / free)) * 180) / Math.PI;
    camera.setViewOffset(width, height, 0, (height - free) / 2, width, height); // updates the projection
    redraw();
  };
  const light = (name) => {
    document.body.className = name;
    scene.background = new THREE.Color(BACKGROUNDS[name]);
    redraw();
  };
  const asked = new URLSearchParams(window.location.hash.slice(1)); // #azimuth=90&show=Mesh&background=dark
  const first = asked.get("show") in kinds ? asked.get("show") : Object.keys(kinds)[0];
  const turn = (on) => {
    controls.autoRotate = on;
    document.getElementById("turn").setAttribute("aria-pressed", String(on));
    redraw();
  };
  const reset = (degrees = 0) => { turn(false); lookFrom(degrees); };
  const step = (degrees) => lookFrom((controls.getAzimuthalAngle() * 180) / Math.PI + degrees);
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
  const keys = { r: () => reset(), b: toggle, t: () => turn(!controls.autoRotate), ArrowLeft: () => step(-15), ArrowRight: () => step(15) };
  window.addEventListener("keydown", ({ key, ctrlKey, metaKey }) => { if (!ctrlKey && !metaKey) keys[key]?.(); });

  await new Promise((resolve) => {
    let frames = 0;
    const clock = new THREE.Timer();
    renderer.setAnimationLoop((now) => {
      clock.update(now);
      if (controls.autoRotate) controls.update(clock.getDelta()); // tells of its change, which draws
      if (stale > 0) { stale -= 1; renderer.render(scene, camera); }
      if (++frames === 10) resolve();
    });
  });
  resize(); // the buttons have their sizes now
  document.body.dataset.ready = "yes";
}
