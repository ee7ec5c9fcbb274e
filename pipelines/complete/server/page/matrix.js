// 4x4 matrices as WebGL has them: 16 numbers, column by column.

export function multiply(a, b) {
  const product = new Float32Array(16);
  for (let column = 0; column < 4; column++)
    for (let row = 0; row < 4; row++)
      for (let k = 0; k < 4; k++) product[4 * column + row] += a[4 * k + row] * b[4 * column + k];
  return product;
}

// The matrix of a glTF node: scale, then rotation (quaternion x, y, z, w), then translation.
export function compose([tx, ty, tz], [x, y, z, w], [sx, sy, sz]) {
  return new Float32Array([
    sx * (1 - 2 * (y * y + z * z)), sx * 2 * (x * y + z * w), sx * 2 * (x * z - y * w), 0,
    sy * 2 * (x * y - z * w), sy * (1 - 2 * (x * x + z * z)), sy * 2 * (y * z + x * w), 0,
    sz * 2 * (x * z + y * w), sz * 2 * (y * z - x * w), sz * (1 - 2 * (x * x + y * y)), 0,
    tx, ty, tz, 1,
  ]);
}

export function apply(m, [x, y, z]) {
  return [0, 1, 2].map((row) => m[row] * x + m[4 + row] * y + m[8 + row] * z + m[12 + row]);
}

export function perspective(fovY, aspect, near, far) {
  const f = 1 / Math.tan(fovY / 2);
  return new Float32Array([f / aspect, 0, 0, 0, 0, f, 0, 0, 0, 0, (far + near) / (near - far), -1, 0, 0, (2 * far * near) / (near - far), 0]);
}

export const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const add = (a, b, times = 1) => a.map((value, i) => value + times * b[i]);
export const unit = (a) => a.map((value) => value / Math.hypot(...a));

// World to camera; the camera looks from eye along forward, y is up.
export function lookAlong(eye, forward) {
  const right = unit(cross(forward, [0, 1, 0]));
  const up = cross(right, forward);
  return {
    right,
    up,
    matrix: new Float32Array([
      right[0], up[0], -forward[0], 0, right[1], up[1], -forward[1], 0, right[2], up[2], -forward[2], 0,
      -dot(right, eye), -dot(up, eye), dot(forward, eye), 1,
    ]),
  };
}
