"use strict";
// Charts say their values under the pointer; pictures of many steps become one with a slider. Without this script all
// pictures are shown below one another.
for (const chart of document.querySelectorAll(".chart")) {
  const svg = chart.querySelector("svg"), cursor = svg.querySelector(".cursor"), legend = chart.querySelector(".legend");
  const keys = [...legend.children], names = keys.map((key) => key.textContent);
  const numbers = (text) => text.split(" ").map(Number);
  const series = [...svg.querySelectorAll(".series:not(.faint)")].map((node) => ({
    at: numbers(node.dataset.at), x: numbers(node.dataset.x), y: numbers(node.dataset.y) }));
  const title = chart.querySelector("h4"), plain = title.textContent;
  svg.addEventListener("pointermove", (event) => {
    const x = (event.clientX - svg.getBoundingClientRect().left) * svg.viewBox.baseVal.width / svg.clientWidth;
    const nearest = series.map((one) => one.at.reduce((best, at, i) => (Math.abs(at - x) < Math.abs(one.at[best] - x) ? i : best), 0));
    const first = series.reduce((best, one, i) => (Math.abs(one.at[nearest[i]] - x) < Math.abs(series[best].at[nearest[best]] - x) ? i : best), 0);
    const place = series[first].at[nearest[first]];
    cursor.setAttribute("x1", place);
    cursor.setAttribute("x2", place);
    cursor.style.visibility = "visible";
    title.textContent = `${plain}, ${chart.dataset.x} ${series[first].x[nearest[first]]}`;
    keys.forEach((key, i) => { key.textContent = `${names[i]} ${series[i].y[nearest[i]]}`; });
  });
  svg.addEventListener("pointerleave", () => {
    cursor.style.visibility = "hidden";
    title.textContent = plain;
    keys.forEach((key, i) => { key.textContent = names[i]; });
  });
}

for (const group of document.querySelectorAll(".snapshots")) {
  const figures = [...group.querySelectorAll("figure")];
  if (figures.length < 2) continue;
  const slider = Object.assign(document.createElement("input"), { type: "range", min: 0, max: figures.length - 1, value: figures.length - 1 });
  const shown = document.createElement("output"), box = document.createElement("label");
  slider.setAttribute("aria-label", "step of the snapshot");
  box.className = "slider";
  box.append(slider, shown);
  group.prepend(box);
  const show = () => {
    figures.forEach((figure, i) => { figure.hidden = i !== Number(slider.value); });
    shown.textContent = `step ${figures[slider.value].dataset.step}`;
  };
  slider.addEventListener("input", show);
  figures.forEach((figure) => { figure.querySelector("figcaption").hidden = true; });
  show();
}
