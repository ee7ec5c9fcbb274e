// Which pixel of an image belongs to which object: the ids, their coloured overlay, and the last changes to undo.

const UNDO = 5;
const OPACITY = 130;
const SHADE = 165; // opacity of the dark layer over the other objects while one is highlighted
const SHADE_PX = 640; // its longest side

// The same colours as the server gives the voxels: neighbouring numbers are far apart.
export function colourOf(id) {
  const hue = ((id * 137.508) % 360) / 60;
  const part = (n) => {
    const k = (n + hue) % 6;
    return Math.round(255 * (0.95 - 0.95 * 0.6 * Math.max(0, Math.min(k, 4 - k, 1))));
  };
  return [part(5), part(3), part(1)];
}

// The RGBA bytes of a bitmap.
export function pixelsOf(bitmap) {
  const pen = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true });
  pen.drawImage(bitmap, 0, 0);
  return pen.getImageData(0, 0, bitmap.width, bitmap.height).data;
}

export class MaskImage {
  constructor(width, height) {
    Object.assign(this, { width, height });
    this.ids = new Uint16Array(width * height); // row by row; 0 is no object
    this.overlay = new OffscreenCanvas(width, height);
    this.past = [];
  }

  // bitmap: id = red + 256 * green.
  read(bitmap) {
    const data = pixelsOf(bitmap);
    for (let p = 0; p < this.ids.length; p++) this.ids[p] = data[4 * p] + 256 * data[4 * p + 1];
    this.paint();
  }

  // The number of pixels of each object that has any, by id.
  areas() {
    const counted = new Uint32Array(1 << 16);
    for (const id of this.ids) counted[id]++;
    return new Map([...counted.entries()].filter(([id, pixels]) => id && pixels));
  }

  // Before a change. points: the clicks that the masks come from.
  remember(points) {
    this.past = [...this.past, { ids: this.ids.slice(), points }].slice(-UNDO);
  }

  // The clicks of the masks as they were before the last change; undefined if there is none to undo.
  undo() {
    const before = this.past.pop();
    if (before) this.ids = before.ids;
    this.paint();
    return before?.points;
  }

  remove(id) {
    for (let p = 0; p < this.ids.length; p++) if (this.ids[p] === id) this.ids[p] = 0;
    this.paint();
  }

  // The id where the mask is white; elsewhere the ids that were there before.
  answer(mask, id, before) {
    const data = pixelsOf(mask);
    for (let p = 0; p < this.ids.length; p++) this.ids[p] = data[4 * p] > 127 ? id : before[p];
    this.paint();
  }

  // The id in all pixels of a shape; false if it lies outside. path: draws it with a pen. box: left, top, right, bottom.
  fill(path, box, id) {
    const x0 = Math.max(0, Math.floor(box[0])), y0 = Math.max(0, Math.floor(box[1]));
    const w = Math.min(this.width, Math.ceil(box[2])) - x0, h = Math.min(this.height, Math.ceil(box[3])) - y0;
    if (w <= 0 || h <= 0) return false;
    const pen = new OffscreenCanvas(w, h).getContext("2d");
    pen.translate(-x0, -y0);
    path(pen);
    const { data } = pen.getImageData(0, 0, w, h);
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++) if (data[4 * (y * w + x) + 3] > 127) this.ids[(y + y0) * this.width + x + x0] = id;
    this.paint(x0, y0, w, h);
    return true;
  }

  // The overlay in a rectangle, as the ids are.
  paint(x0 = 0, y0 = 0, w = this.width, h = this.height) {
    const patch = new ImageData(w, h);
    const rgba = new Uint32Array(patch.data.buffer);
    const colours = []; // four bytes in one number, as the machine has them
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++) {
        const id = this.ids[(y + y0) * this.width + x + x0];
        if (id) rgba[y * w + x] = colours[id] ??= new Uint32Array(new Uint8Array([...colourOf(id), OPACITY]).buffer)[0];
      }
    this.overlay.getContext("2d").putImageData(patch, x0, y0);
  }

  // A dark layer over everything but one object; coarse, so that it is quick on large images.
  shade(id) {
    const step = Math.max(1, Math.max(this.width, this.height) / SHADE_PX);
    const shade = new OffscreenCanvas(Math.ceil(this.width / step), Math.ceil(this.height / step));
    const patch = new ImageData(shade.width, shade.height);
    for (let y = 0; y < shade.height; y++)
      for (let x = 0; x < shade.width; x++)
        if (this.ids[Math.floor(y * step) * this.width + Math.floor(x * step)] !== id) patch.data[4 * (y * shade.width + x) + 3] = SHADE;
    shade.getContext("2d").putImageData(patch, 0, 0);
    return shade;
  }
}
