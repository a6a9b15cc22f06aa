// What the page shows: the Gaussians' SplatMesh, and the mesh in its colours and as a shape.
import * as THREE from "three";
import { SplatMesh } from "@sparkjsdev/spark";

function geometryOf({ bytes, vertices, faces, low, size, wide, textured }) {
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

async function paintOf({ bytes, vertices, faces, wide, textured }, renderer) {
  if (!textured) return { vertexColors: true };
  const start = faces * 3 * (wide ? 4 : 2) + vertices * 10;
  const texture = new THREE.Texture(await createImageBitmap(new Blob([bytes.subarray(start)], { type: "image/jpeg" })));
  Object.assign(texture, { flipY: false, colorSpace: THREE.SRGBColorSpace, anisotropy: renderer.capabilities.getMaxAnisotropy(), needsUpdate: true });
  return { map: texture };
}

export function interleaved(bytes, count) {
  // the page keeps the first bytes of all records, then their second bytes and so on
  const records = new Uint8Array(bytes.length), width = bytes.length / count;
  for (let i = 0; i < count; i++) for (let k = 0; k < width; k++) records[i * width + k] = bytes[k * count + i];
  return records;
}

export async function contents(person, renderer) {
  const kinds = {};
  if (person.splats) {
    const { bytes, count } = person.splats;
    const splats = new SplatMesh({ fileBytes: interleaved(bytes, count), fileType: "splat", fileName: "person.splat", extSplats: true });
    await splats.initialized;
    kinds.Gaussians = splats;
  }
  if (person.mesh) {
    const geometry = geometryOf(person.mesh), Kind = person.rig ? THREE.SkinnedMesh : THREE.Mesh;
    kinds.Mesh = new Kind(geometry, new THREE.MeshBasicMaterial({ ...(await paintOf(person.mesh, renderer)), side: THREE.DoubleSide }));
    kinds.Shape = new Kind(geometry, new THREE.MeshNormalMaterial({ side: THREE.DoubleSide }));
  }
  return kinds;
}
