// A small WebGL 2 viewer: shaded coloured triangles, and a camera that orbits a point. It draws only when something changed.

import { add, apply, lookAlong, multiply, perspective } from "./matrix.js";

const FOV = 0.7;
const SHADE = 0.15; // brightness of the other objects while one is highlighted
const VERTEX = `#version 300 es
in vec3 position; in vec3 normal; in vec4 colour;
uniform mat4 object; uniform mat4 camera;
out vec3 n; out vec3 c; out vec3 p;
void main() {
  vec4 world = object * vec4(position, 1.0);
  n = mat3(object) * normal; c = colour.rgb; p = world.xyz;
  gl_Position = camera * world;
}`;
// Sky and ground light, and a lamp at the eye; colours are linear up to the last line.
const FRAGMENT = `#version 300 es
precision highp float;
in vec3 n; in vec3 c; in vec3 p;
uniform vec3 eye; uniform float shade;
out vec4 pixel;
void main() {
  vec3 to_eye = normalize(eye - p);
  vec3 side = normalize(n);
  side *= dot(side, to_eye) < 0.0 ? -1.0 : 1.0;
  float light = 0.35 + 0.25 * side.y + 0.6 * dot(side, to_eye);
  vec3 lit = clamp(c * light * shade, 0.0, 1.0);
  pixel = vec4(mix(12.92 * lit, 1.055 * pow(lit, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, lit)), 1.0);
}`;

export class Viewer {
  constructor(canvas) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl2", { antialias: true, alpha: true, premultipliedAlpha: true });
    if (!this.gl) throw new Error("This browser shows no WebGL 2; results can still be downloaded.");
    this.program = link(this.gl);
    this.parts = [];
    this.target = [0, 0, 0];
    this.distance = 3;
    this.yaw = 0;
    this.pitch = 0.2;
    this.listen();
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  // parts: of readGlb. forward: where the camera of the image looks, y up; with it, the view is placed like the image.
  show(parts, forward) {
    for (const part of this.parts) part.free();
    this.parts = parts.map((part) => uploadPart(this.gl, this.program, part));
    if (forward) this.frame(parts, forward);
    this.draw();
  }

  // The other objects are darkened; null for none.
  highlight(instance) {
    this.lit = instance;
    this.draw();
  }

  frame(parts, forward) {
    this.moved = false;
    const corners = parts.flatMap((part) => bounds(part));
    if (!corners.length) return;
    const low = [0, 1, 2].map((axis) => Math.min(...corners.map((p) => p[axis])));
    const high = [0, 1, 2].map((axis) => Math.max(...corners.map((p) => p[axis])));
    this.target = low.map((value, axis) => (value + high[axis]) / 2);
    this.radius = Math.hypot(...low.map((value, axis) => high[axis] - value)) / 2 || 1;
    const aspect = this.canvas.clientWidth / Math.max(1, this.canvas.clientHeight);
    this.distance = (1.05 * this.radius) / Math.sin(FOV / 2) / Math.min(1, aspect);
    this.yaw = Math.atan2(-forward[0], -forward[2]);
    this.pitch = Math.max(0.15, Math.min(1.2, Math.asin(-forward[1] / Math.hypot(...forward)) + 0.1));
  }

  pose() {
    const level = Math.cos(this.pitch);
    const forward = [-level * Math.sin(this.yaw), -Math.sin(this.pitch), -level * Math.cos(this.yaw)];
    const eye = add(this.target, forward, -this.distance);
    return { eye, ...lookAlong(eye, forward) };
  }

  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.render();
    });
  }

  render() {
    const { gl, canvas, program } = this;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((size) => Math.max(1, Math.round(size * ratio)));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.useProgram(program.id);
    const { eye, matrix } = this.pose();
    const lens = perspective(FOV, width / height, this.distance / 100, this.distance * 100);
    gl.uniformMatrix4fv(program.camera, false, multiply(lens, matrix));
    gl.uniform3fv(program.eye, eye);
    const found = this.parts.some((part) => part.instance === this.lit);
    for (const part of this.parts) part.draw(found && part.instance !== this.lit ? SHADE : 1);
  }

  listen() {
    const pointers = new Map();
    const { canvas } = this;
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      this.moved = true; // by a person
      const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]];
      const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      if (others.length) this.pinch(before, [event.clientX, event.clientY], others[0]);
      else if (event.shiftKey || event.buttons & 6) this.pan(dx, dy);
      else this.turn(dx, dy);
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.moved = true;
      this.zoom(Math.exp(event.deltaY * 0.0012));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const turns = { ArrowLeft: [-30, 0], ArrowRight: [30, 0], ArrowUp: [0, -30], ArrowDown: [0, 30] };
      if (!(event.key in turns)) return;
      event.preventDefault();
      this.moved = true;
      this.turn(...turns[event.key]);
    });
  }

  turn(dx, dy) {
    this.yaw -= dx * 0.008;
    this.pitch = Math.max(-1.55, Math.min(1.55, this.pitch + dy * 0.008));
    this.draw();
  }

  pan(dx, dy) {
    const { right, up } = this.pose();
    const unitsPerPixel = (2 * this.distance * Math.tan(FOV / 2)) / this.canvas.clientHeight;
    this.target = add(add(this.target, right, -dx * unitsPerPixel), up, dy * unitsPerPixel);
    this.draw();
  }

  pinch(from, to, fixed) {
    const apart = (at) => Math.max(10, Math.hypot(at[0] - fixed[0], at[1] - fixed[1]));
    this.zoom(apart(from) / apart(to));
  }

  zoom(factor) {
    this.distance = Math.max(1e-3, this.distance * factor);
    this.draw();
  }
}

function bounds({ position, matrix }) {
  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  for (let i = 0; i < position.length; i++) {
    low[i % 3] = Math.min(low[i % 3], position[i]);
    high[i % 3] = Math.max(high[i % 3], position[i]);
  }
  return [low, high].map((corner) => apply(matrix, corner)); // the matrices turn by right angles alone
}

function link(gl) {
  const id = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(id, shader);
  }
  gl.linkProgram(id);
  if (!gl.getProgramParameter(id, gl.LINK_STATUS)) throw new Error(`The 3D view cannot start: ${gl.getProgramInfoLog(id)}`);
  const uniforms = ["object", "camera", "eye", "shade"].map((name) => [name, gl.getUniformLocation(id, name)]);
  return { id, ...Object.fromEntries(uniforms) };
}

function uploadPart(gl, program, part) {
  const array = gl.createVertexArray();
  gl.bindVertexArray(array);
  const buffers = [];
  const store = (target, values) => {
    buffers.push(gl.createBuffer());
    gl.bindBuffer(target, buffers.at(-1));
    gl.bufferData(target, values, gl.STATIC_DRAW);
  };
  const attribute = (name, values, width, type, normalised) => {
    const place = gl.getAttribLocation(program.id, name);
    store(gl.ARRAY_BUFFER, values);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, width, type, normalised, 0, 0);
  };
  attribute("position", part.position, 3, gl.FLOAT, false);
  attribute("normal", part.normal, 3, gl.FLOAT, false);
  if (part.colour) attribute("colour", part.colour, 4, gl.UNSIGNED_SHORT, true);
  store(gl.ELEMENT_ARRAY_BUFFER, part.index);
  gl.bindVertexArray(null);
  return {
    instance: part.instance,
    draw(shade) {
      gl.bindVertexArray(array);
      gl.uniform1f(program.shade, shade);
      if (!part.colour) gl.vertexAttrib4f(gl.getAttribLocation(program.id, "colour"), 0.6, 0.6, 0.6, 1);
      gl.uniformMatrix4fv(program.object, false, part.matrix);
      gl.drawElements(gl.TRIANGLES, part.index.length, gl.UNSIGNED_INT, 0);
    },
    free() {
      for (const buffer of buffers) gl.deleteBuffer(buffer);
      gl.deleteVertexArray(array);
    },
  };
}
