"""A page with three.js, three-vrm and its GLTFLoader from npm by digest, served to a Chromium; and Khronos'
glTF validator."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from turnaround.flows.viewer.html_page import THREE
from turnaround.pipeline.packages import registry
from turnaround.pipeline.packages.registry import Package, RegistryError

VRM = Package(
    "npm",
    "@pixiv/three-vrm",
    "3.5.5",
    "sha512-RPXy7jYAXs704NIpZlosB0U2ENu21G9DrqGWdQgRe8dShaCo1ugpj+6BVPRCy91nt+MPMA96j5rbsSzEl0HlQA==",
)
VALIDATOR = Package(
    "npm",
    "gltf-validator",
    "2.0.0-dev.3.10",
    "sha512-odJ4k0tRkGXiDGn78yDBg+fBbAIvBnXxh3RwAta0emSxGtyagFE8B4xELB1oYe3S5RD8Ci3uZAsZaascH2LAEQ==",
)
_FILES = {
    THREE: (
        "build/three.core.js",
        "build/three.module.js",
        "examples/jsm/loaders/GLTFLoader.js",
        "examples/jsm/loaders/GLTFGaussianSplatLoaderExtension.js",
        "examples/jsm/utils/BufferGeometryUtils.js",
        "examples/jsm/utils/SkeletonUtils.js",
    ),
    VRM: ("lib/three-vrm.module.min.js",),
}
_PAGE = """<!doctype html><meta charset="utf-8"><style>body{margin:0}canvas{display:block}</style>
<link rel="icon" href="data:,">
<script type="importmap">{"imports": {
  "three": "/three/build/three.module.js",
  "three/addons/": "/three/examples/jsm/",
  "@pixiv/three-vrm": "/three-vrm/lib/three-vrm.module.min.js"}}</script>
<body><script type="module">
import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
import { VRMLoaderPlugin } from "@pixiv/three-vrm";
const loader = new GLTFLoader();
loader.register((parser) => new VRMLoaderPlugin(parser));
Object.assign(window, { THREE });
window.load = async (name) => {
  const gltf = await loader.loadAsync(name);
  window.gltf = gltf;
  window.mesh = gltf.scene.getObjectByProperty("isSkinnedMesh", true);
};
window.bone = (name) => gltf.scene.getObjectByName(name);
window.places = () => { // of all vertices, where bones and morphs have taken them
  gltf.scene.updateMatrixWorld(true);
  const found = [], point = new THREE.Vector3();
  for (let k = 0; k < mesh.geometry.attributes.position.count; k++) {
    mesh.getVertexPosition(k, point).applyMatrix4(mesh.matrixWorld);
    found.push(point.x, point.y, point.z);
  }
  return found;
};
window.draw = (size, matrix, fov, shift) => { // matrix: camera to world, row by row
  const renderer = new THREE.WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
  renderer.setSize(size, size);
  document.body.replaceChildren(renderer.domElement);
  mesh.material = new THREE.MeshBasicMaterial({ map: mesh.material.map });
  mesh.frustumCulled = false;
  const scene = new THREE.Scene();
  scene.background = new THREE.Color("white");
  scene.add(gltf.scene);
  const camera = new THREE.PerspectiveCamera(fov, 1, 0.05, 50);
  camera.matrixAutoUpdate = false;
  camera.matrix.set(...matrix);
  camera.matrixWorldNeedsUpdate = true;
  camera.setViewOffset(size, size, ...shift, size, size);
  renderer.render(scene, camera);
};
document.body.dataset.ready = "yes";
</script>"""


@contextmanager
def served(files: dict[str, bytes]) -> Iterator[str]:
    """The address of a page that can `load` these files; skips the test where the packages cannot be had."""
    content = {"/": _PAGE.encode(), **{f"/{name}": data for name, data in files.items()}}
    try:
        for package, members in _FILES.items():
            folder = package.name.rpartition("/")[2]
            found = registry.read(package, members)
            content |= {f"/{folder}/{name}": data for name, data in found.items()}
    except RegistryError as error:
        pytest.skip(f"three.js or three-vrm cannot be fetched: {error}")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = content.get(self.path)
            self.send_response(404 if data is None else 200)
            script = self.path.endswith(".js")
            self.send_header("Content-Type", "text/javascript" if script else "text/html")
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def validated(data: bytes, folder: Path) -> dict[str, Any]:
    """What Khronos' validator says of a GLB: `numErrors`, `numWarnings`, `messages`, ..."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine to run gltf-validator")
    try:
        files = registry.read(VALIDATOR, ("gltf_validator.dart.js", "index.js", "package.json"))
    except RegistryError as error:
        pytest.skip(f"gltf-validator cannot be fetched: {error}")
    folder.mkdir()
    for name, content in {**files, "file.glb": data}.items():
        (folder / name).write_bytes(content)
    script = (
        "require('./index.js').validateBytes(new Uint8Array(require('fs').readFileSync('file.glb')))"
        ".then((report) => console.log(JSON.stringify(report.issues)))"
    )
    done = subprocess.run([node, "-e", script], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
