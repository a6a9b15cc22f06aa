// The face: where Gaussians and vertices go by ten expressions and the jaw's opening, before bones move them.
const MOVES = 11;

// packed: x of the first movement of all points, then y, z, then x of the second and so on
function moved(packed, amounts) {
  const sum = new Float32Array(packed.length / MOVES);
  amounts.forEach((amount, k) => {
    if (amount !== 0) for (let i = 0; i < sum.length; i++) sum[i] += amount * packed[k * sum.length + i];
  });
  return sum;
}

export class Face {
  // what `changing/faces.py` has packed; geometry: of the mesh, if it is there
  constructor({ bytes, start, count, vertices, steps }, geometry) {
    Object.assign(this, { start, count, steps });
    this.numbers = new Uint32Array(bytes.buffer, 0, vertices);
    this.ofMesh = new Int8Array(bytes.buffer, 4 * vertices, 3 * MOVES * vertices);
    this.ofSplats = new Int8Array(bytes.buffer, 4 * vertices + this.ofMesh.length, 3 * MOVES * count);
    this.places = geometry?.getAttribute("position");
    this.rest = this.places?.array.slice();
    this.shares = new Array(MOVES).fill(0);
  }

  // Takes so much of each movement; texels: of the Gaussians, four numbers each. Tells whether that is another face.
  take(shares, texels) {
    if (shares.every((share, k) => share === this.shares[k])) return false;
    this.shares = shares;
    const amounts = shares.map((share, k) => share * this.steps[k]);
    const { count, numbers, places, rest, start } = this, splats = moved(this.ofSplats, amounts);
    for (let i = 0; i < splats.length; i++) texels[4 * (start + (i % count)) + Math.floor(i / count)] = splats[i];
    if (!places) return true;
    const mesh = moved(this.ofMesh, amounts);
    for (let i = 0; i < mesh.length; i++) {
      const at = 3 * numbers[i % numbers.length] + Math.floor(i / numbers.length);
      places.array[at] = rest[at] + mesh[i];
    }
    places.needsUpdate = true;
    return true;
  }
}
