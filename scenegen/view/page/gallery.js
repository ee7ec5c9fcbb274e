"use strict";
// One page over data.js: cards that pass the filters, and a dialog for one view.
const USABLE_SHARE = 0.005;
// In the order in which they are shown: estimators' maps beside the true depth, on its scale.
const PANE_NAMES = Object.fromEntries([
  ["rgb", "RGB"], ["depth", "true depth"],
  ...GALLERY.dataset.estimators.flatMap(({ name }) => [[`depth_${name}`, name], [`error_${name}`, `${name}: error`]]),
  ["ids", "instance ids"], ["normals", "normals"],
  ...(GALLERY.dataset.metadata.transparent === "both"
    ? [["opaque_depth", "depth behind glass"], ["opaque_ids", "ids behind glass"], ["opaque_normals", "normals behind glass"]]
    : []),
]);
const byId = (id) => document.getElementById(id);
const views = GALLERY.views.map(measure);
let shown = [];
let current = 0;

function measure(view) {
  const pixels = view.size[0] * view.size[1];
  const seen = view.objects.filter((o) => o.visible_px > 0);
  return {
    ...view,
    usable: view.objects.filter((o) => o.visible_px >= USABLE_SHARE * pixels).length,
    occlusion: seen.reduce((sum, o) => sum + o.occlusion, 0) / Math.max(seen.length, 1),
    fragments: seen.filter((o) => o.mask_components > 1).length,
    words: `scene ${view.scene} ${view.objects.map((o) => o.uid).join(" ")}`.toLowerCase(),
  };
}

const digits = (value) => (value === null ? "–" : value.toFixed(3));

// What one pane says of its view: an estimator's error after alignment.
function paneText(view, kind) {
  const estimate = kind.startsWith("depth_") ? view.estimates[kind.slice(6)] : null;
  if (!estimate) return PANE_NAMES[kind];
  return `${PANE_NAMES[kind]} · AbsRel ${digits(estimate.abs_rel)} · δ1 ${digits(estimate.delta1)}`;
}

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

const setting = (view) => (view.walls === 0 ? "outdoor" : view.walls === 1 ? "1 wall" : `${view.walls} walls`);
const panes = () => [...document.querySelectorAll("#panes input:checked")].map((box) => box.value);

function passes(view) {
  const words = byId("find").value.trim().toLowerCase();
  const found = /^\d+$/.test(words) ? view.scene === Number(words) : view.words.includes(words);
  const walls = byId("walls").value;
  return found && (walls === "" || view.walls === Number(walls)) && view.usable >= Number(byId("usable").value);
}

function draw() {
  byId("usable-out").value = byId("usable").value;
  const order = byId("sort").value;
  shown = views.filter(passes);
  if (order !== "index") shown = [...shown].sort((a, b) => b[order] - a[order]);
  byId("cards").replaceChildren(...shown.map(card));
  byId("nothing").hidden = shown.length > 0;
  byId("count").textContent = `${shown.length} of ${views.length} views`;
}

function card(view, position) {
  const kinds = panes().filter((kind) => kind in view.images);
  const strip = element("div", { className: "strip" }, ...kinds.map((kind) =>
    element("img", { src: view.images[kind], loading: "lazy", width: view.size[0], height: view.size[1],
                     title: paneText(view, kind), alt: `${PANE_NAMES[kind]} of scene ${view.scene}, view ${view.view}` })));
  const caption = element("div", { className: "caption" },
    element("b", { textContent: `scene ${view.scene} · view ${view.view}` }),
    element("span", { textContent: setting(view) }),
    element("span", { textContent: `${view.usable} usable of ${view.objects.length} objects` }),
    element("span", { textContent: `occlusion ${(100 * view.occlusion).toFixed(0)} %` }),
    element("span", { textContent: view.hdri }),
    ...Object.entries(view.estimates).map(([name, estimate]) =>
      element("span", { className: "error", textContent: `${name} AbsRel ${digits(estimate.abs_rel)}` })));
  return element("button", { className: "card", onclick: () => open(position) }, strip, caption);
}

function open(position) {
  current = (position + shown.length) % shown.length;
  const view = shown[current];
  byId("detail-title").textContent = `scene ${view.scene} · view ${view.view}`;
  byId("detail-facts").textContent = [setting(view), `light ${view.hdri}`, `fov ${view.fov_deg}°`,
    `camera at ${view.camera.join(", ")} m`, view.depth_m ? `depth ${view.depth_m.join(" to ")} m` : "no depth",
    `${view.size.join(" × ")} px`, view.licences.join(", ")].join(" · ");
  byId("detail-panes").replaceChildren(...Object.keys(PANE_NAMES).filter((kind) => kind in view.images).map((kind) => pane(view, kind)));
  const rows = [...view.objects].sort((a, b) => b.visible_px - a.visible_px).map((o) => row(o, view));
  byId("detail-objects").replaceChildren(...rows);
  if (!byId("detail").open) byId("detail").showModal();
}

function pane(view, kind) {
  const boxes = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  boxes.setAttribute("viewBox", `0 0 ${view.size[0]} ${view.size[1]}`);
  return element("div", { className: "pane" }, element("img", { src: view.images[kind], alt: PANE_NAMES[kind] }), boxes,
    element("span", { textContent: paneText(view, kind) }));
}

function row(object, view) {
  const percent = (share) => `${(100 * share).toFixed(0)} %`;
  const swatch = element("span", { className: "swatch" });
  swatch.style.background = `rgb(${object.colour.join(",")})`;
  const cells = [swatch, object.instance_id, object.uid, object.visible_px, object.amodal_px,
    percent(object.occlusion), percent(object.truncation), object.mask_components,
    ...GALLERY.dataset.estimators.map(({ name }) => {
      const error = view.estimates[name]?.instances[object.instance_id];
      return error === undefined ? "" : digits(error);
    })];
  return element("tr", { className: object.visible_px ? "" : "unseen",
                         onmouseenter: () => box(object), onmouseleave: () => box(null) },
    ...cells.map((cell) => element("td", {}, cell instanceof Node ? cell : String(cell))));
}

function box(object) {
  for (const svg of document.querySelectorAll("#detail-panes svg")) {
    svg.replaceChildren();
    if (!object) continue;
    for (const [corners, dash] of [[object.visible_box_px, ""], [object.amodal_box_px, "6 4"]]) {
      const [x0, y0, x1, y1] = corners;
      const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const attributes = { x: x0, y: y0, width: x1 - x0, height: y1 - y0, fill: "none", stroke: "white",
                           "stroke-width": 2, "stroke-dasharray": dash, "vector-effect": "non-scaling-stroke" };
      for (const [name, value] of Object.entries(attributes)) rect.setAttribute(name, value);
      svg.append(rect);
    }
  }
}

const facts = GALLERY.dataset;
for (const kind of Object.keys(PANE_NAMES)) {
  const box = element("input", { type: "checkbox", value: kind, checked: !kind.startsWith("error_") });
  byId("panes").append(element("label", {}, box, ` ${PANE_NAMES[kind]}`));
}
for (const { name } of facts.estimators) {
  byId("detail-columns").append(element("th", { textContent: `${name} AbsRel`, title: "after its own scale" }));
}
byId("estimators").textContent = facts.estimators.map((e) =>
  `${PANE_NAMES[`depth_${e.name}`]}: AbsRel ${digits(e.abs_rel)}, δ1 ${digits(e.delta1)} after alignment, ${e.views} views`
).join(" · ");
byId("summary").textContent = [`${facts.location}`, `${facts.scenes} scenes`, `${facts.views} views`,
  `${facts.objects} placed objects`, facts.failed ? `${facts.failed} failed scenes` : null, facts.metadata.renderer,
  facts.licences.join(", ")].filter(Boolean).join(" · ");
byId("objects-link").hidden = !facts.has_objects;
byId("completions-link").hidden = !facts.has_completions;
byId("filters").addEventListener("input", draw);
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("close").onclick = () => byId("detail").close();
document.addEventListener("keydown", (event) => {
  if (!byId("detail").open) return;
  if (event.key === "ArrowRight") open(current + 1);
  if (event.key === "ArrowLeft") open(current - 1);
});
draw();
