// The picture with its masks: which pixel belongs to which object, clicked with a segmenter or drawn by polygon or brush.

const UNDO = 5;
const OPACITY = 130;
const CLOSE_PX = 8; // on the screen
const SHADE = 165; // of what is not highlighted
const SHADE_PX = 640;

// The same colours as the server gives the voxels: neighbouring numbers are far apart.
export function colourOf(id) {
  const hue = ((id * 137.508) % 360) / 60;
  const part = (n) => {
    const k = (n + hue) % 6;
    return Math.round(255 * (0.95 - 0.95 * 0.6 * Math.max(0, Math.min(k, 4 - k, 1))));
  };
  return [part(5), part(3), part(1)];
}

export class MaskEditor {
  // changed: called when masks have changed, or with false when only the current object has. maskOf: promise of the mask of clicked points.
  // failed: told of an error of that.
  constructor(canvas, { changed, maskOf, failed }) {
    Object.assign(this, { canvas, changed, maskOf, failed });
    this.pen = canvas.getContext("2d");
    this.tool = "polygon";
    this.drop();
    this.size = 24;
    this.listen();
  }

  open(bitmap) {
    Object.assign(this.canvas, { width: bitmap.width, height: bitmap.height });
    this.bitmap = bitmap;
    this.ids = new Uint16Array(bitmap.width * bitmap.height);
    this.overlay = new OffscreenCanvas(bitmap.width, bitmap.height);
    this.past = [];
    this.current = 1;
    this.lit = null;
    this.drop();
    this.repaint();
  }

  // What was begun and belongs to no mask yet, and the clicks of the last one.
  drop() {
    this.corners = [];
    this.points = [];
    this.answered = [];
  }

  choose(tool) {
    if (this.clicks !== (tool === "click" || tool === "unclick")) this.drop();
    this.tool = tool;
    if (this.bitmap) this.draw();
  }

  get clicks() {
    return this.tool === "click" || this.tool === "unclick";
  }

  // bitmap: id = red + 256 * green.
  setIds(bitmap) {
    const data = pixels(bitmap);
    const { ids } = this;
    this.drop();
    for (let p = 0; p < ids.length; p++) ids[p] = data[4 * p] + 256 * data[4 * p + 1];
    this.current = Math.max(0, ...this.areas().keys()) + 1;
    this.repaint();
  }

  // Pixels of each object that has any, by id.
  areas() {
    const counted = new Uint32Array(1 << 16);
    const { ids = [] } = this;
    for (let p = 0; p < ids.length; p++) counted[ids[p]]++;
    return new Map([...counted.entries()].filter(([id, pixels]) => id && pixels));
  }

  // The others are darkened; null for none.
  highlight(id) {
    this.lit = id;
    if (this.bitmap) this.draw();
  }

  // Coarse, so that it is quick on large images.
  shade() {
    const { ids, lit, canvas: { width, height } } = this;
    const step = Math.max(1, Math.max(width, height) / SHADE_PX);
    const shade = new OffscreenCanvas(Math.ceil(width / step), Math.ceil(height / step));
    const patch = new ImageData(shade.width, shade.height);
    for (let y = 0; y < shade.height; y++)
      for (let x = 0; x < shade.width; x++)
        if (ids[Math.floor(y * step) * width + Math.floor(x * step)] !== lit) patch.data[4 * (y * shade.width + x) + 3] = SHADE;
    shade.getContext("2d").putImageData(patch, 0, 0);
    return shade;
  }

  select(id) {
    this.current = id;
    this.drop();
    this.draw();
    this.changed(false);
  }

  remove(id) {
    this.remember();
    this.drop();
    for (let p = 0; p < this.ids.length; p++) if (this.ids[p] === id) this.ids[p] = 0;
    this.repaint();
  }

  undo() {
    const before = this.past.pop();
    if (before) this.ids = before.ids;
    this.drop();
    if (before && this.clicks) this.points = this.answered = before.points;
    this.repaint();
  }

  remember() {
    this.past = [...this.past, { ids: this.ids.slice(), points: this.answered }].slice(-UNDO);
  }

  // All clicks on an object so far are one question; its answer is added to what the object was before the first.
  async click(at, inside) {
    if (!this.points.length && !inside) return this.failed(new Error("Click on the object first, then on what does not belong to it."));
    if (!this.points.length) this.before = this.ids.slice();
    const asked = (this.points = [...this.points, [...at, inside ? 1 : 0]]);
    this.draw();
    try {
      const mask = await this.maskOf(asked);
      if (this.points !== asked) return; // there was another click, object or image meanwhile
      this.remember();
      const data = pixels(mask);
      const { ids, before, current } = this;
      for (let p = 0; p < ids.length; p++) ids[p] = data[4 * p] > 127 ? current : before[p];
      this.answered = asked;
      this.repaint();
    } catch (error) {
      if (this.points !== asked) return;
      this.points = this.answered;
      this.draw();
      this.failed(error);
    }
  }

  // The id in all pixels of a shape, and the overlay there.
  fill(path, box) {
    const { width, height } = this.canvas;
    const x0 = Math.max(0, Math.floor(box[0])), y0 = Math.max(0, Math.floor(box[1]));
    const w = Math.min(width, Math.ceil(box[2])) - x0, h = Math.min(height, Math.ceil(box[3])) - y0;
    if (w <= 0 || h <= 0) return;
    const pen = new OffscreenCanvas(w, h).getContext("2d");
    pen.translate(-x0, -y0);
    path(pen);
    const { data } = pen.getImageData(0, 0, w, h);
    const id = this.tool === "erase" ? 0 : this.current;
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++) if (data[4 * (y * w + x) + 3] > 127) this.ids[(y + y0) * width + x + x0] = id;
    this.repaint(x0, y0, w, h);
  }

  repaint(x0 = 0, y0 = 0, w = this.canvas.width, h = this.canvas.height) {
    const { ids, canvas: { width } } = this;
    const patch = new ImageData(w, h);
    const rgba = new Uint32Array(patch.data.buffer);
    const colours = []; // four bytes in one number, as the machine has them
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++) {
        const id = ids[(y + y0) * width + x + x0];
        if (id) rgba[y * w + x] = colours[id] ??= new Uint32Array(new Uint8Array([...colourOf(id), OPACITY]).buffer)[0];
      }
    this.overlay.getContext("2d").putImageData(patch, x0, y0);
    this.draw();
    if (!this.stroke) this.changed();
  }

  draw(cursor) {
    const { pen, corners } = this;
    pen.drawImage(this.bitmap, 0, 0);
    pen.drawImage(this.overlay, 0, 0);
    if (this.lit) pen.drawImage(this.shade(), 0, 0, this.canvas.width, this.canvas.height);
    const line = 1 / this.place().scale; // so that marks look the same on any picture
    for (const [x, y, inside] of this.points) {
      pen.beginPath();
      pen.arc(x, y, 6 * line, 0, 7);
      Object.assign(pen, { fillStyle: inside ? "#37d067" : "#f0443a", strokeStyle: "#fff", lineWidth: 1.5 * line });
      pen.fill();
      pen.stroke();
    }
    if (!corners.length) return;
    pen.lineWidth = 2 * line;
    pen.strokeStyle = `rgb(${colourOf(this.current)})`;
    pen.fillStyle = "#fff";
    pen.beginPath();
    for (const corner of cursor ? [...corners, cursor] : corners) pen.lineTo(...corner);
    pen.stroke();
    for (const [x, y] of corners) pen.fillRect(x - 3 * line, y - 3 * line, 6 * line, 6 * line);
  }

  corner(at) {
    const [first] = this.corners;
    const near = first && Math.hypot(at[0] - first[0], at[1] - first[1]) * this.place().scale < CLOSE_PX;
    if (near && this.corners.length > 2) return this.close();
    this.corners.push(at);
    this.draw();
  }

  close() {
    const corners = this.corners;
    this.corners = [];
    if (corners.length < 3) return this.draw();
    this.remember();
    const [xs, ys] = [corners.map((c) => c[0]), corners.map((c) => c[1])];
    const outline = (pen) => {
      for (const corner of corners) pen.lineTo(...corner);
      pen.fill();
    };
    this.fill(outline, [Math.min(...xs), Math.min(...ys), Math.max(...xs) + 1, Math.max(...ys) + 1]);
  }

  dab(from, to) {
    const r = this.size / 2;
    const stroke = (pen) => {
      Object.assign(pen, { lineWidth: this.size, lineCap: "round" });
      pen.beginPath();
      pen.moveTo(...from);
      pen.lineTo(...to);
      pen.stroke();
    };
    const [xs, ys] = [[from[0], to[0]], [from[1], to[1]]];
    this.fill(stroke, [Math.min(...xs) - r, Math.min(...ys) - r, Math.max(...xs) + r, Math.max(...ys) + r]);
  }

  // Where on the picture: the canvas may stand in a larger box (object-fit: contain).
  place() {
    const { canvas } = this;
    const box = canvas.getBoundingClientRect();
    const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
    return { scale, left: box.left + (box.width - canvas.width * scale) / 2, top: box.top + (box.height - canvas.height * scale) / 2 };
  }

  at(event) {
    const { scale, left, top } = this.place();
    return [(event.clientX - left) / scale, (event.clientY - top) / scale];
  }

  within(event) {
    const { width, height } = this.canvas;
    const [x, y] = this.at(event);
    return [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("contextmenu", (event) => this.clicks && event.preventDefault());
    canvas.addEventListener("pointerdown", (event) => {
      if (this.clicks) return event.button === 1 || this.click(this.within(event), this.tool === "click" && !event.button && !event.shiftKey);
      if (event.button) return;
      if (this.tool === "polygon") return this.corner(this.at(event));
      canvas.setPointerCapture(event.pointerId);
      this.remember();
      this.stroke = this.at(event);
      this.dab(this.stroke, add1(this.stroke));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.stroke) {
        const to = this.at(event);
        this.dab(this.stroke, to);
        this.stroke = to;
      } else if (this.corners.length) this.draw(this.at(event));
    });
    for (const name of ["pointerup", "pointercancel"])
      canvas.addEventListener(name, () => {
        if (!this.stroke) return;
        this.stroke = null;
        this.changed();
      });
    canvas.addEventListener("dblclick", () => this.close());
    document.addEventListener("keydown", (event) => {
      if (!this.corners?.length) return;
      if (event.key === "Enter") this.close();
      else if (event.key === "Escape") {
        this.corners = [];
        this.draw();
      } else return;
      event.preventDefault();
    });
  }
}

// RGBA of each.
function pixels(bitmap) {
  const pen = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true });
  pen.drawImage(bitmap, 0, 0);
  return pen.getImageData(0, 0, bitmap.width, bitmap.height).data;
}

// A line of no length draws nothing; a dot is a very short one.
const add1 = ([x, y]) => [x + 0.01, y];
