// How much of each added Gaussian shows: nothing in the photo's pose, all where the bones about it have moved apart.
// The same rule as `models/avatar/fading.py`; its numbers come with the person, see `changing/fades.py`.
const BONES = 4; // about each

export class Fading {
  // places: of the added Gaussians in the photo's pose, three numbers each; photo: T_world_rest of each bone, row by row
  constructor({ bytes, count, whole, photo }, places) {
    this.whole = whole;
    this.bones = Uint8Array.from({ length: BONES * count }, (_, i) => bytes[(i % BONES) * count + Math.floor(i / BONES)]);
    this.rest = new Float32Array(3 * BONES * count); // where each of its bones alone has it at rest
    for (let i = 0; i < this.bones.length; i++) {
      const t = 12 * this.bones[i], p = 3 * Math.floor(i / BONES);
      const [x, y, z] = [0, 1, 2].map((r) => places[p + r] - photo[t + 4 * r + 3]);
      for (let c = 0; c < 3; c++) this.rest[3 * i + c] = photo[t + c] * x + photo[t + 4 + c] * y + photo[t + 8 + c] * z;
    }
    this.shares = new Float32Array(count);
  }

  // matrices: of all bones, world from rest, sixteen numbers each, column by column
  shown(matrices) {
    const { bones, rest, shares, whole } = this;
    for (let i = 0; i < shares.length; i++) {
      let farthest = 0, x0 = 0, y0 = 0, z0 = 0;
      for (let k = BONES * i; k < BONES * (i + 1); k++) {
        const m = 16 * bones[k], a = rest[3 * k], b = rest[3 * k + 1], c = rest[3 * k + 2];
        const x = matrices[m] * a + matrices[m + 4] * b + matrices[m + 8] * c + matrices[m + 12];
        const y = matrices[m + 1] * a + matrices[m + 5] * b + matrices[m + 9] * c + matrices[m + 13];
        const z = matrices[m + 2] * a + matrices[m + 6] * b + matrices[m + 10] * c + matrices[m + 14];
        if (k === BONES * i) [x0, y0, z0] = [x, y, z];
        farthest = Math.max(farthest, (x - x0) ** 2 + (y - y0) ** 2 + (z - z0) ** 2);
      }
      const share = Math.min(Math.sqrt(farthest) / whole, 1);
      shares[i] = share * share * (3 - 2 * share);
    }
    return shares;
  }
}
