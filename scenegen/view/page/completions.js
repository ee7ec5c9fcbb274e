"use strict";
// One page over completions_data.js: a card a scene.
const byId = (id) => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

const FILES = { "scene.glb": "scene (GLB)", "report.json": "report" };

function card(scene) {
  const picture = scene.files["picture.png"];
  const caption = element("div", { className: "caption" },
    element("b", { textContent: scene.name }),
    element("span", { className: "error", textContent: scene.system }),
    ...Object.entries(scene.outcomes).map(([outcome, count]) => element("span", { textContent: `${count} ${outcome}` })),
    element("span", { textContent: `${scene.seconds.toFixed(1)} s` }),
    element("span", { textContent: Object.entries(scene.inputs).map(([name, value]) => `${name} ${value}`).join(", ") }),
    ...Object.entries(FILES).filter(([file]) => file in scene.files).map(([file, name]) =>
      element("a", { href: scene.files[file], download: `${scene.name}-${file}`, textContent: name })));
  const rows = Object.entries(scene.instances).map(([id, one]) => element("tr", {},
    ...[id, one.outcome, one.faces?.toLocaleString() ?? "", one.visible_share === null ? "" : `${(100 * one.visible_share).toFixed(0)} %`, one.reason]
      .map((text) => element("td", { textContent: text }))));
  const table = element("details", {}, element("summary", { textContent: "objects" }), element("table", {},
    element("thead", {}, element("tr", {}, ...["object", "outcome", "faces", "visible", "reason"].map((text) => element("th", { textContent: text })))),
    element("tbody", {}, ...rows)));
  return element("div", { className: "card still" },
    ...(picture ? [element("a", { href: picture }, element("img", { className: "sheet", src: picture, alt: `${scene.name}: image, completed scene from its camera and from the side` }))] : []),
    caption, table);
}

const scenes = COMPLETIONS.scenes;
byId("summary").textContent = `${scenes.length} scene${scenes.length === 1 ? "" : "s"} by ${[...new Set(scenes.map((scene) => scene.system))].join(", ")}`;
byId("cards").replaceChildren(...scenes.map(card));
