// A person's bones, the clips that turn them, and what they move: a skinned mesh and Gaussians.
import * as THREE from "three";
import { SplatSkinning, dyno } from "@sparkjsdev/spark";
import { interleaved } from "turnaround/contents";
import { Face } from "turnaround/face";
import { Fading } from "turnaround/fading";

const FACE = 10; // expressions of a frame
const WIDTH = 512; // texels of what the first Gaussians have of their own: metres that they move at rest, how much shows
const BLEND = `
  void turnaroundBlend(int numSplats, usampler2DArray skinTexture, sampler2D boneTexture, sampler2D ownTexture,
      int index, inout vec3 center, inout vec4 quaternion, inout float opacity) {
    if (index < 0 || index >= numSplats) return;
    if (index < ${WIDTH} * textureSize(ownTexture, 0).y) {
      vec4 own = texelFetch(ownTexture, ivec2(index % ${WIDTH}, index / ${WIDTH}), 0);
      center += own.xyz;
      opacity *= own.w;
    }
    uvec4 skin = texelFetch(skinTexture, splatTexCoord(index), 0);
    vec3 place = vec3(0.0);
    vec4 turn = vec4(0.0), first = texelFetch(boneTexture, ivec2(3, int(skin.x >> 8u)), 0);
    for (int i = 0; i < 4; i++) {
      float weight = float(skin[i] & 0xffu) / 255.0;
      int bone = int(skin[i] >> 8u);
      vec4 a = texelFetch(boneTexture, ivec2(0, bone), 0);
      vec4 b = texelFetch(boneTexture, ivec2(1, bone), 0);
      vec4 c = texelFetch(boneTexture, ivec2(2, bone), 0);
      vec4 q = texelFetch(boneTexture, ivec2(3, bone), 0);
      place += weight * (mat3(a.xyz, vec3(a.w, b.xy), vec3(b.zw, c.x)) * center + c.yzw);
      turn += (dot(first, q) < 0.0 ? -weight : weight) * q; // q and -q are one rotation: all on the side of the strongest
    }
    center = place;
    quaternion = quatQuat(normalize(turn), quaternion);
  }`;

// Spark's linear mode bends covariances by the blended matrices, which thins Gaussians at joints. Here, as in our renderer,
// matrices move the centers, and blended quaternions turn the Gaussians; a bone's fourth texel, free in Spark's, has its quaternion.
class BlendedSkinning extends SplatSkinning {
  // changing: so many of the first Gaussians fade in or follow the face
  constructor(mesh, numBones, changing) {
    super({ mesh, numBones, mode: "linear_blend" });
    const tall = Math.max(Math.ceil(changing / WIDTH), 1);
    this.own = new Float32Array(4 * WIDTH * tall);
    for (let i = 3; i < this.own.length; i += 4) this.own[i] = 1;
    this.ownTexture = new THREE.DataTexture(this.own, WIDTH, tall, THREE.RGBAFormat, THREE.FloatType);
    this.ownUniform = new dyno.DynoSampler2D({ key: "ownTexture", value: this.ownTexture });
  }

  modify(gsplat) {
    const { Gsplat } = dyno, skinning = this.uniform;
    return new dyno.Dyno({
      inTypes: { gsplat: Gsplat, skinning: skinning.type, own: "sampler2D" },
      outTypes: { gsplat: Gsplat },
      globals: () => [BLEND],
      inputs: { gsplat, skinning, own: this.ownUniform },
      statements: ({ inputs, outputs }) => [
        `${outputs.gsplat} = ${inputs.gsplat};`,
        `if (isGsplatActive(${outputs.gsplat}.flags)) turnaroundBlend(${inputs.skinning}.numSplats, ${inputs.skinning}.skinTexture,`,
        `  ${inputs.skinning}.boneTexture, ${inputs.own}, ${outputs.gsplat}.index, ${outputs.gsplat}.center,`,
        `  ${outputs.gsplat}.quaternion, ${outputs.gsplat}.rgba.a);`,
      ],
    }).outputs.gsplat;
  }

  setTurn(bone, quaternion) {
    quaternion.toArray(this.boneData, 16 * bone + 12);
  }

  updateBones() {
    this.ownTexture.needsUpdate = true;
    super.updateBones();
  }
}

// Places of the first Gaussians (records of .splat) where bones take them; these are twelve numbers each, T_world_rest row by row.
function blended(count, records, skin, bones) {
  const places = new Float32Array(3 * count), rest = new Float32Array(records.buffer);
  for (let i = 0; i < count; i++) {
    const [x, y, z] = rest.subarray(8 * i);
    for (let k = 8 * i; k < 8 * i + 4; k++) {
      for (let r = 0; r < 3; r++) {
        const row = 12 * skin[k] + 4 * r;
        places[3 * i + r] += (skin[k + 4] / 255) * (bones[row] * x + bones[row + 1] * y + bones[row + 2] * z + bones[row + 3]);
      }
    }
  }
  return places;
}

export class Rig {
  constructor({ parents, rest }) {
    const places = parents.map((_, j) => new THREE.Vector3().fromArray(rest, 3 * j));
    this.bones = parents.map(() => new THREE.Bone());
    parents.forEach((parent, j) => {
      if (parent < 0) return;
      this.bones[parent].add(this.bones[j]);
      this.bones[j].position.copy(places[j]).sub(places[parent]);
    });
    const inverses = places.map(({ x, y, z }) => new THREE.Matrix4().makeTranslation(-x, -y, -z));
    this.skeleton = new THREE.Skeleton(this.bones, inverses);
    this.splats = this.fading = this.face = null;
    this.chosen = null; // the shares of a face to hold, instead of the clip's
  }

  bindMesh(mesh, { bytes, count }) {
    const records = interleaved(bytes, count); // four bones, then four weights of 255
    const part = (at) => Uint8Array.from({ length: 4 * count }, (_, i) => records[8 * (i >> 2) + at + (i & 3)]);
    mesh.geometry.setAttribute("skinIndex", new THREE.BufferAttribute(part(0), 4));
    mesh.geometry.setAttribute("skinWeight", new THREE.BufferAttribute(part(4), 4, true));
    mesh.bindMode = "detached"; // the bones move in the mesh's own frame
    mesh.bind(this.skeleton, new THREE.Matrix4());
    mesh.frustumCulled = false;
  }

  // skin, splats: as the page has packed them, in the order of the Gaussians; fades and face: what changes the first of them
  bindSplats(mesh, { skin, splats, fades, face }) {
    const { count } = splats, records = interleaved(skin.bytes, count);
    this.splats = new BlendedSkinning(mesh, this.bones.length, Math.max(fades.count, face.start + face.count));
    const { skinData } = this.splats;
    for (let i = 0; i < count; i++) for (let k = 0; k < 4; k++) skinData[4 * i + k] = (records[8 * i + k] << 8) + records[8 * i + 4 + k];
    mesh.skinning = this.splats;
    mesh.updateGenerator();
    this.fading = new Fading(fades, blended(fades.count, interleaved(splats.bytes, count), records, fades.photo));
  }

  bindFace(face, mesh) {
    this.face = new Face(face, mesh?.geometry);
  }

  // Puts the bones where a clip has them at a time in seconds.
  pose(clip, time) {
    const at = Math.min(Math.max(time * clip.fps, 0), clip.frames - 1);
    const frame = Math.min(Math.floor(at), Math.max(clip.frames - 2, 0)), share = at - frame;
    const next = Math.min(frame + 1, clip.frames - 1), other = new THREE.Quaternion();
    for (const bone of this.bones) bone.quaternion.identity(); // those that the clip does not name are at rest
    clip.bones.forEach((bone, k) => {
      const width = 4 * clip.bones.length;
      this.bones[bone].quaternion.fromArray(clip.turns, frame * width + 4 * k);
      this.bones[bone].quaternion.slerp(other.fromArray(clip.turns, next * width + 4 * k), share);
    });
    this.bones[0].position.fromArray(clip.places, 3 * frame).lerp(new THREE.Vector3().fromArray(clip.places, 3 * next), share);
    this.bones[0].updateMatrixWorld(true);
    this.#moveFace(clip, frame, next, share);
    this.#moveSplats();
    return new THREE.Vector2().fromArray(clip.path, 2 * frame).lerp(new THREE.Vector2().fromArray(clip.path, 2 * next), share);
  }

  #moveFace(clip, frame, next, share) {
    if (!this.face || !this.splats) return;
    const { faces } = clip, still = this.face.shares.map(() => 0);
    const own = faces ? still.map((_, k) => (k < FACE ? faces[FACE * frame + k] * (1 - share) + faces[FACE * next + k] * share : 0)) : still;
    this.face.take(this.chosen ?? own, this.splats.own);
  }

  #moveSplats() {
    if (!this.splats) return;
    const matrix = new THREE.Matrix4(), turn = new THREE.Quaternion(), matrices = new Float32Array(16 * this.bones.length);
    this.bones.forEach((bone, j) => {
      matrix.multiplyMatrices(bone.matrixWorld, this.skeleton.boneInverses[j]);
      matrix.toArray(matrices, 16 * j);
      this.splats.setBoneMatrix(j, matrix);
      this.splats.setTurn(j, turn.setFromRotationMatrix(matrix));
    });
    this.fading.shown(matrices).forEach((share, i) => { this.splats.own[4 * i + 3] = share; });
    this.splats.updateBones();
  }
}

// Clips out of the page: float32 places, paths and faces, then int16 rotations, channel by channel; see `tracks.py`.
export function clipsOf({ bytes, list }) {
  let at = 0;
  const take = (Kind, count) => {
    const values = new Kind(bytes.buffer, at, count);
    at += values.byteLength;
    return values;
  };
  const ways = list.map(({ frames, face }) => ({
    places: take(Float32Array, 3 * frames),
    path: take(Float32Array, 2 * frames),
    faces: face ? take(Float32Array, FACE * frames) : null,
  }));
  return list.map((facts, k) => {
    const bones = facts.bones, width = 4 * bones.length, packed = take(Int16Array, width * facts.frames);
    const turns = Float32Array.from({ length: packed.length }, (_, i) => packed[(i % width) * facts.frames + Math.floor(i / width)] / 32767);
    return { ...facts, ...ways[k], turns, duration: (facts.frames - 1) / facts.fps };
  });
}
