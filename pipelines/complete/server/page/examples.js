// The examples: rows of the server's dataset, chosen by their thumbnails, a page at a time.

import * as api from "./api.js";

const $ = (id) => document.getElementById(id);

export class Examples {
  // open: called with the number of a row and the source of its depth. asked: see messages.js.
  constructor({ open, asked }) {
    this.open = (number) => asked(() => open(number, $("example-depth").value));
    this.first = 0;
    this.chosen = null;
    $("earlier").onclick = asked(() => this.show(this.first - this.shown));
    $("later").onclick = asked(() => this.show(this.first + this.shown));
    $("first-example").onchange = asked(({ target }) => this.show(Number(target.value)));
  }

  async start(server) {
    $("examples").hidden = false;
    $("example-depth").append(...server.example_depths.map((name) => new Option(name === "gt" ? "exact depth" : `depth: ${name}`, name)));
    await this.show(0);
  }

  async show(first) {
    $("thumbnails").ariaBusy = true;
    try {
      const { count, rows } = await api.examples(Math.max(0, first || 0));
      this.first = rows[0].number;
      this.shown = Math.max(this.shown || 0, rows.length);
      $("thumbnails").replaceChildren(...rows.map((row) => this.thumbnail(row)));
      $("thumbnails").scrollLeft = 0;
      $("pager").hidden = count <= rows.length;
      $("first-example").value = this.first;
      $("first-example").max = count - 1;
      $("examples-count").textContent = `of ${count.toLocaleString()}`;
      $("earlier").disabled = !this.first;
      $("later").disabled = this.first + rows.length >= count;
    } finally {
      $("thumbnails").ariaBusy = false;
    }
  }

  // number: of the row that is open; null for none.
  choose(number) {
    this.chosen = number;
    for (const { firstElementChild: button } of $("thumbnails").children) button.ariaPressed = Number(button.dataset.number) === number;
  }

  thumbnail({ number, scene_index, view_index, objects }) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const image = new Image();
    const many = document.createElement("span");
    Object.assign(image, { src: api.thumbnailUrl(number), alt: `Scene ${scene_index}, view ${view_index}` });
    many.textContent = objects === 1 ? "1 object" : `${objects} objects`;
    Object.assign(button, { type: "button", ariaPressed: number === this.chosen, onclick: this.open(number) });
    button.title = `Row ${number}: scene ${scene_index}, view ${view_index}`;
    button.dataset.number = number;
    button.append(image, many);
    item.append(button);
    return item;
  }
}
