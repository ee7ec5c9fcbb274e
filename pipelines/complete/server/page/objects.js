// The list of objects: each with its colour, name and state. A row remains the same element, so that it keeps the focus.

import { colourOf } from "./mask_image.js";

export class ObjectList {
  // select, remove: called with an id; highlight: with an id or null.
  constructor(list, { select, remove, highlight }) {
    Object.assign(this, { list, select, remove, highlight });
    this.items = new Map();
  }

  // rows: [{id, name, state, text, title, working}]. state: a CSS class. text: what is shown of it, with more in title.
  show(rows, current) {
    const items = rows.map((row) => this.updated(row, current));
    const { children } = this.list;
    if (children.length !== items.length || items.some((item, place) => item !== children[place])) this.list.replaceChildren(...items);
    const ids = new Set(rows.map(({ id }) => id));
    for (const id of this.items.keys()) if (!ids.has(id)) this.items.delete(id);
  }

  updated({ id, name, state, text, title = "", working }, current) {
    if (!this.items.has(id)) this.items.set(id, this.made(id));
    const item = this.items.get(id);
    const [button] = item.children;
    button.ariaPressed = id === current;
    button.className = working ? "working" : "";
    const [, number, called, said] = button.children;
    number.textContent = `Object ${id}`;
    called.textContent = called.title = name;
    Object.assign(said, { textContent: text, title, className: `state ${state}` });
    return item;
  }

  made(id) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const parts = ["i", "b", "span", "span"].map((tag) => document.createElement(tag));
    parts[0].style.background = `rgb(${colourOf(id)})`;
    button.append(...parts);
    Object.assign(button, { type: "button", title: "Click to change its mask, Delete to remove it" });
    button.onclick = () => this.select(id);
    button.onkeydown = (event) => event.key === "Delete" && this.remove(id);
    button.onpointerenter = () => this.highlight(id);
    button.onpointerleave = button.onblur = () => this.highlight(null);
    button.onfocus = () => button.matches(":focus-visible") && this.highlight(id);
    item.append(button);
    return item;
  }
}
