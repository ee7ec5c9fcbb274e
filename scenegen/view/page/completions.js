"use strict";
// One page over completions_data.js: how good the model is, a card a scene, how the model was trained.
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

// Tables and plots of fixer-evaluate; the rows of the model that completed the scenes stand out.
function showEvaluation(evaluation) {
  const systems = COMPLETIONS.scenes.map((scene) => scene.system);
  const rows = evaluation.rows.map((row) => element("tr", { className: systems.some((name) => row.label.endsWith(name)) ? "ours" : "" },
    element("td", { textContent: row.label }),
    ...row.cells.map((text, column) => element("td", { textContent: text, title: row.ranges[column] && `95 % interval: ${row.ranges[column]}` }))));
  const table = element("table", { className: "figures" },
    element("thead", {}, element("tr", {}, ...["system", ...evaluation.columns].map((text) => element("th", { textContent: text })))),
    element("tbody", {}, ...rows));
  const links = Object.entries(evaluation.files).map(([name, file]) => element("a", { href: file, textContent: name }));
  byId("evaluation").append(element("h2", { textContent: "this model beside the baselines" }),
    element("p", { className: "hint" }, `${evaluation.title}. ↓ lower is better, ↑ higher is better. `, ...links.flatMap((link) => [link, " "])),
    element("div", { className: "scroll" }, table),
    element("details", {}, element("summary", { textContent: "what was judged, and plots" }),
      element("ul", {}, ...evaluation.facts.map((text) => element("li", { textContent: text }))),
      ...pictures(evaluation.plots)));
  byId("evaluation").hidden = false;
}

function pictures(files) {
  return Object.entries(files).map(([name, file]) => {
    const title = name.replace(/\.png$/, "");
    return element("div", { className: "plot" }, element("h3", { textContent: title }),
      element("a", { href: file }, element("img", { src: file, alt: title, loading: "lazy" })));
  });
}

function showCurves(curves) {
  byId("curves").append(element("h2", { textContent: "training curves" }), ...pictures(curves));
  byId("curves").hidden = false;
}

const scenes = COMPLETIONS.scenes;
byId("summary").textContent = `${scenes.length} scene${scenes.length === 1 ? "" : "s"} by ${[...new Set(scenes.map((scene) => scene.system))].join(", ")}`;
byId("cards").replaceChildren(...scenes.map(card));
if (COMPLETIONS.evaluation) showEvaluation(COMPLETIONS.evaluation);
if (Object.keys(COMPLETIONS.curves).length) showCurves(COMPLETIONS.curves);
