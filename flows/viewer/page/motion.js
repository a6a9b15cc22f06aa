// A person's bones, the clips that turn them, and what they move: a skinned mesh and Gaussians.
import * as THREE from "three";
import { SplatSkinning, dyno } from "@sparkjsdev/spark";
import { interleaved } from "turnaround/contents";

const BLEND = `
  void turnaroundBlend(int numSplats, usampler2DArray skinTexture, sampler2D boneTexture,
      int index, inout vec3 center, inout vec4 quaternion) {
    if (index < 0 || index >= numSplats) return;
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
  constructor(mesh, numBones) {
    super({ mesh, numBones, mode: "linear_blend" });
  }

  modify(gsplat) {
    const { Gsplat } = dyno, skinning = this.uniform;
    return new dyno.Dyno({
      inTypes: { gsplat: Gsplat, skinning: skinning.type },
      outTypes: { gsplat: Gsplat },
      globals: () => [BLEND],
      inputs: { gsplat, skinning },
      statements: ({ inputs, outputs }) => [
        `${outputs.gsplat} = ${inputs.gsplat};`,
        `if (isGsplatActive(${outputs.gsplat}.flags)) turnaroundBlend(${inputs.skinning}.numSplats, ${inputs.skinning}.skinTexture,`,
        `  ${inputs.skinning}.boneTexture, ${outputs.gsplat}.index, ${outputs.gsplat}.center, ${outputs.gsplat}.quaternion);`,
      ],
    }).outputs.gsplat;
  }

  setTurn(bone, quaternion) {
    quaternion.toArray(this.boneData, 16 * bone + 12);
  }
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
    this.splats = null;
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

  bindSplats(splats, { bytes, count }) {
    const records = interleaved(bytes, count);
    this.splats = new BlendedSkinning(splats, this.bones.length);
    const { skinData } = this.splats;
    for (let i = 0; i < count; i++) for (let k = 0; k < 4; k++) skinData[4 * i + k] = (records[8 * i + k] << 8) + records[8 * i + 4 + k];
    splats.skinning = this.splats;
    splats.updateGenerator();
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
    this.#moveSplats();
    return new THREE.Vector2().fromArray(clip.path, 2 * frame).lerp(new THREE.Vector2().fromArray(clip.path, 2 * next), share);
  }

  #moveSplats() {
    if (!this.splats) return;
    const matrix = new THREE.Matrix4(), turn = new THREE.Quaternion();
    this.bones.forEach((bone, j) => {
      matrix.multiplyMatrices(bone.matrixWorld, this.skeleton.boneInverses[j]);
      this.splats.setBoneMatrix(j, matrix);
      this.splats.setTurn(j, turn.setFromRotationMatrix(matrix));
    });
    this.splats.updateBones();
  }
}

// Clips out of the page: float32 places and paths, then int16 rotations, channel by channel; see `tracks.py`.
export function clipsOf({ bytes, list }) {
  let at = 0;
  const take = (Kind, count) => {
    const values = new Kind(bytes.buffer, at, count);
    at += values.byteLength;
    return values;
  };
  const ways = list.map(({ frames }) => ({ places: take(Float32Array, 3 * frames), path: take(Float32Array, 2 * frames) }));
  return list.map((facts, k) => {
    const bones = facts.bones, width = 4 * bones.length, packed = take(Int16Array, width * facts.frames);
    const turns = Float32Array.from({ length: packed.length }, (_, i) => packed[(i % width) * facts.frames + Math.floor(i / width)] / 32767);
    return { ...facts, ...ways[k], turns, duration: (facts.frames - 1) / facts.fps };
  });
}
