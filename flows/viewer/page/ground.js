// The ground under a person: a soft shadow and lines half a metre apart, which fade into the background.
import * as THREE from "three";

const RADIUS = 2.2; // metres

export function groundOf(height) {
  const material = new THREE.ShaderMaterial({
    transparent: true,
    depthWrite: false,
    uniforms: { dark: { value: 0 } }, // 1: the lines are light
    vertexShader: `
      varying vec2 own, place;
      void main() {
        own = position.xy;
        place = (modelMatrix * vec4(position, 1.0)).xz;
        gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
      }`,
    fragmentShader: `
      uniform float dark;
      varying vec2 own, place;
      void main() {
        vec2 away = abs(fract(place * 2.0 - 0.5) - 0.5) / fwidth(place * 2.0);
        float line = 1.0 - min(min(away.x, away.y), 1.0);
        float far = length(own);
        float shadow = mix(0.18, 0.6, dark) * exp(-far * far / 0.09), drawn = 0.14 * line * smoothstep(${RADIUS.toFixed(1)}, 0.3, far);
        gl_FragColor = vec4(vec3(dark * drawn / max(drawn + shadow, 1e-4)), shadow + drawn);
      }`,
  });
  const ground = new THREE.Mesh(new THREE.CircleGeometry(RADIUS, 64), material);
  ground.rotation.x = Math.PI / 2; // its face is up, which is -y
  ground.position.y = height;
  ground.renderOrder = -1; // before the Gaussians, which are drawn as one transparent thing
  return ground;
}
