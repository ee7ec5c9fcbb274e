"use strict";
// One page over objects_data.js: a card an asset.
const byId = (id) => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

const NAMES = { condition: "clean view", feature: "feature view", voxels: "voxels", features: "features" };
const nameOf = (kind) => [NAMES[kind.split("-")[0]], kind.split("-").slice(1).join("-")].filter(Boolean).join(" ");

function passes(asset) {
  const status = byId("status").value;
  return asset.uid.toLowerCase().includes(byId("find").value.trim().toLowerCase()) && (!status || asset.status === status);
}

function draw() {
  const order = byId("sort").value;
  const shown = OBJECTS.assets.filter(passes);
  if (order !== "uid") shown.sort((a, b) => b[order] - a[order]);
  byId("cards").replaceChildren(...shown.map(card));
  byId("nothing").hidden = shown.length > 0;
  byId("count").textContent = `${shown.length} of ${OBJECTS.total} assets`;
}

function card(asset) {
  const strip = element("div", { className: "strip" }, ...Object.entries(asset.images).map(([kind, src]) =>
    element("figure", {}, element("img", { src, loading: "lazy", width: 224, height: 224, alt: `${nameOf(kind)} of ${asset.uid}` }),
      element("figcaption", { textContent: nameOf(kind) }))));
  const facts = asset.status === "ok"
    ? [`${asset.vertices} vertices`, `${asset.faces} faces`, `${asset.voxels} voxels`,
       ...Object.entries(asset.poses).map(([name, poses]) => `${poses} poses in ${name}`)]
    : [];
  const caption = element("div", { className: "caption" }, element("b", { textContent: asset.uid }),
    ...[...facts, asset.split, asset.licence].filter(Boolean).map((text) => element("span", { textContent: text })),
    ...(asset.failure ? [element("span", { className: "error", textContent: `failed: ${asset.failure}` })] : []));
  return element("div", { className: "card still" }, strip, caption);
}

byId("summary").textContent = Object.entries(OBJECTS.tables).map(([table, settings]) =>
  table === "objects_views"
    ? `${table}: ${settings.condition_views} × ${settings.condition_px} px, ${settings.feature_views} × ${settings.feature_px} px`
    : table).join(" · ");
byId("filters").addEventListener("input", draw);
byId("filters").addEventListener("submit", (event) => event.preventDefault());
draw();
