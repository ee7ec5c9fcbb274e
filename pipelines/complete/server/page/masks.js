// The editor of masks: the image with its objects, clicked with a segmenter or drawn by polygon or brush.

import { colourOf, MaskImage } from "./mask_image.js";

const CLOSE_PX = 8; // on the screen

export class MaskEditor {
  // changed: called when masks have changed, or with false when only the current object has.
  // maskOf: promise of the mask of clicked points. failed: called with an error of that.
  constructor(canvas, { changed, maskOf, failed }) {
    Object.assign(this, { canvas, changed, maskOf, failed });
    this.pen = canvas.getContext("2d");
    this.tool = "polygon";
    this.dropUnfinished();
    this.size = 24;
    this.listen();
  }

  open(bitmap) {
    Object.assign(this.canvas, { width: bitmap.width, height: bitmap.height });
    this.bitmap = bitmap;
    this.masks = new MaskImage(bitmap.width, bitmap.height);
    this.current = 1;
    this.lit = null;
    this.dropUnfinished();
    this.update();
  }

  // Of each pixel, row by row; 0 is no object.
  get ids() {
    return this.masks.ids;
  }

  // The number of pixels of each object that has any, by id.
  areas() {
    return this.masks ? this.masks.areas() : new Map();
  }

  // What was begun and belongs to no mask yet, and the clicks of the last one.
  dropUnfinished() {
    this.corners = [];
    this.points = [];
    this.answered = [];
  }

  choose(tool) {
    if (this.clicks !== (tool === "click" || tool === "unclick")) this.dropUnfinished();
    this.tool = tool;
    if (this.bitmap) this.draw();
  }

  get clicks() {
    return this.tool === "click" || this.tool === "unclick";
  }

  // bitmap: id = red + 256 * green.
  setIds(bitmap) {
    this.dropUnfinished();
    this.masks.read(bitmap);
    this.current = Math.max(0, ...this.areas().keys()) + 1;
    this.update();
  }

  // The other objects are darkened; null for none.
  highlight(id) {
    this.lit = id;
    if (this.bitmap) this.draw();
  }

  select(id) {
    this.current = id;
    this.dropUnfinished();
    this.draw();
    this.changed(false);
  }

  remove(id) {
    this.masks.remember(this.answered);
    this.dropUnfinished();
    this.masks.remove(id);
    this.update();
  }

  undo() {
    const points = this.masks.undo();
    this.dropUnfinished();
    if (points && this.clicks) this.points = this.answered = points;
    this.update();
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
      this.masks.remember(this.answered);
      this.masks.answer(mask, this.current, this.before);
      this.answered = asked;
      this.update();
    } catch (error) {
      if (this.points !== asked) return;
      this.points = this.answered;
      this.draw();
      this.failed(error);
    }
  }

  // A polygon: a click on its first corner closes it.
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
    this.masks.remember(this.answered);
    const [xs, ys] = [corners.map((c) => c[0]), corners.map((c) => c[1])];
    const outline = (pen) => {
      for (const corner of corners) pen.lineTo(...corner);
      pen.fill();
    };
    this.fill(outline, [Math.min(...xs), Math.min(...ys), Math.max(...xs) + 1, Math.max(...ys) + 1]);
  }

  // A stroke of the brush.
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

  fill(path, box) {
    if (this.masks.fill(path, box, this.tool === "erase" ? 0 : this.current)) this.update();
  }

  // After the masks have changed. A stroke reports its change when it ends.
  update() {
    this.draw();
    if (!this.stroke) this.changed();
  }

  draw(cursor) {
    const { pen, masks } = this;
    pen.drawImage(this.bitmap, 0, 0);
    pen.drawImage(masks.overlay, 0, 0);
    if (this.lit) pen.drawImage(masks.shade(this.lit), 0, 0, this.canvas.width, this.canvas.height);
    const line = 1 / this.place().scale; // so that marks look the same on any image
    this.drawClicks(line);
    this.drawPolygon(line, cursor);
  }

  drawClicks(line) {
    const { pen } = this;
    for (const [x, y, inside] of this.points) {
      pen.beginPath();
      pen.arc(x, y, 6 * line, 0, 7);
      Object.assign(pen, { fillStyle: inside ? "#37d067" : "#f0443a", strokeStyle: "#fff", lineWidth: 1.5 * line });
      pen.fill();
      pen.stroke();
    }
  }

  drawPolygon(line, cursor) {
    const { pen, corners } = this;
    if (!corners.length) return;
    pen.lineWidth = 2 * line;
    pen.strokeStyle = `rgb(${colourOf(this.current)})`;
    pen.fillStyle = "#fff";
    pen.beginPath();
    for (const corner of cursor ? [...corners, cursor] : corners) pen.lineTo(...corner);
    pen.stroke();
    for (const [x, y] of corners) pen.fillRect(x - 3 * line, y - 3 * line, 6 * line, 6 * line);
  }

  // Where the image lies in the window: the canvas may stand in a larger box (object-fit: contain).
  place() {
    const { canvas } = this;
    const box = canvas.getBoundingClientRect();
    const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
    return { scale, left: box.left + (box.width - canvas.width * scale) / 2, top: box.top + (box.height - canvas.height * scale) / 2 };
  }

  // The pixel of the image under the pointer.
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
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"])
      canvas.addEventListener(name, () => {
        if (!this.stroke) return;
        this.stroke = null;
        this.changed();
      });
    canvas.addEventListener("dblclick", () => this.close());
    document.addEventListener("keydown", (event) => this.key(event));
  }

  press(event) {
    if (this.clicks) return event.button === 1 || this.click(this.within(event), this.tool === "click" && !event.button && !event.shiftKey);
    if (event.button) return;
    if (this.tool === "polygon") return this.corner(this.at(event));
    this.canvas.setPointerCapture(event.pointerId);
    this.masks.remember(this.answered);
    this.stroke = this.at(event);
    this.dab(this.stroke, slightlyRight(this.stroke));
  }

  move(event) {
    if (this.stroke) {
      const to = this.at(event);
      this.dab(this.stroke, to);
      this.stroke = to;
    } else if (this.corners.length) this.draw(this.at(event));
  }

  key(event) {
    if (!this.corners.length) return;
    if (event.key === "Enter") this.close();
    else if (event.key === "Escape") {
      this.corners = [];
      this.draw();
    } else return;
    event.preventDefault();
  }
}

// A line of no length draws nothing; a dot is a very short one.
const slightlyRight = ([x, y]) => [x + 0.01, y];
