// The page: puts the image, the masks, the server and the 3D view together. One job at a time.

import * as api from "./api.js";
import { readGlb } from "./glb.js";
import { colourOf, MaskEditor } from "./masks.js";
import { Viewer } from "./viewer.js";

const $ = (id) => document.getElementById(id);
const POLL_MS = 400;
const STAGES = { seen: "Seen points", coarse: "Coarse", fine: "Fine", result: "Textured result" };
const STEPS = {
  depth: "Estimating depth", observe: "Looking at objects", encode: "Encoding the image", coarse: "Coarse structure",
  fine: "Fine structure", texture: "Texture", mesh: "Meshes", gaussians: "Gaussians",
};
const HINTS = {
  click: "Click on the object; right- or shift-click on what does not belong to it.",
  unclick: "Click on what does not belong to the object; then again with Click on what does.",
  polygon: "Polygon: click the corners; the first one again, a double-click or Enter closes it, Escape drops it.",
  brush: "Brush: drag over the object.",
  erase: "Erase: drag over what belongs to no object.",
};
const NOTHING = { done: "No object could be completed; the table says why.", cancelled: "Cancelled." }; // by state
// What the name of a checkpoint says of its results; the first that fits is shown.
const CAUTIONS = [
  [/\b(random|untrained|never trained|tiny|tests?)\b/i, "Its results show that the system works, not how good it is."],
  [/\b(compact|small)\b/i, "It is a small model, not the released 3D-Fixer: expect coarse shapes and colours."],
];

let server; // what it says of itself
let job = null; // as the server last described it
let masksChanged = false; // since they were sent
let shown = null; // the stage in the 3D view
let framed = false;
let viewer = null;
let objects = []; // that have a mask
const editor = new MaskEditor($("canvas"), {
  changed() {
    masksChanged = true;
    objects = editor.present();
    listInstances();
  },
  async maskOf(points) {
    $("hint").textContent = "The segmenter is looking. The first click on an image takes longest.";
    try {
      return await api.maskOfClicks(job.id, points);
    } finally {
      describeTool();
    }
  },
  failed: (error) => complain(error),
});

const busy = () => job && (job.state === "waiting" || job.state === "running");

// ---- messages ----

function complain(error) {
  $("error").hidden = false;
  $("error").firstElementChild.textContent = error.message;
}

// Runs what a person asked for; what goes wrong is said at the top.
const asked = (work) => async (event) => {
  $("error").hidden = true;
  try {
    await work(event);
  } catch (error) {
    complain(error);
  }
};

// ---- image ----

async function open(make) {
  if (busy()) throw new Error("A scene is being completed; cancel it first.");
  const next = await make();
  if (job) api.remove(job.id).catch(() => {}); // expired already, which is as good
  job = next;
  const pictures = await Promise.all([api.picture(job.id, "image"), job.has_masks ? api.picture(job.id, "masks") : null]);
  $("drop").hidden = true;
  $("canvas").hidden = false;
  editor.open(pictures[0]);
  if (pictures[1]) editor.setIds(pictures[1]);
  masksChanged = false;
  forgetResult();
  describeInput();
}

function openFile(file) {
  if (file.size > server.limits.upload_bytes)
    throw new Error(`The file is larger than ${server.limits.upload_bytes / 1e6} MB, the limit of this server.`);
  return open(() => api.upload(file));
}

// ---- masks ----

function listInstances() {
  const ids = [...new Set([...objects, editor.current])].sort((a, b) => a - b);
  $("instances").replaceChildren(...ids.map(instanceButton), ...(objects.includes(editor.current) ? [newButton(ids)] : []));
  $("complete").disabled = !objects.length || busy();
}

function instanceButton(id) {
  const button = document.createElement("button");
  button.type = "button";
  button.role = "option";
  button.ariaSelected = id === editor.current;
  button.append(swatch(id), `Object ${id}`);
  button.title = "Click to change its mask, Delete to remove it";
  button.onclick = () => editor.select(id);
  button.onkeydown = (event) => event.key === "Delete" && editor.remove(id);
  return button;
}

function newButton(ids) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "+ New object";
  button.onclick = () => editor.select(Math.max(...ids) + 1);
  return button;
}

function swatch(id) {
  const colour = document.createElement("i");
  colour.style.background = `rgb(${colourOf(id)})`;
  return colour;
}

function chooseTool(tool) {
  editor.choose(tool);
  for (const button of $("tools").querySelectorAll("[data-tool]")) button.ariaPressed = button.dataset.tool === tool;
  describeTool();
}

function describeTool() {
  $("hint").textContent = HINTS[editor.tool] + (server.segmenter ? "" : " This server has no segmenter, so masks are drawn or uploaded.");
}

// ---- depth and camera ----

function describeInput() {
  const estimates = $("depth-source").value === "estimated";
  $("depth-choice").hidden = $("depth-unit").parentElement.hidden = estimates;
  const depth = estimates ? `${server.estimator} estimates the depth.` : job?.has_depth ? "The depth is there." : "A .npy array or a 16-bit .png with planar depth; it may be smaller than the image.";
  const camera = job?.has_camera ? "The camera is known." : estimates ? "Without a field of view it estimates that too." : "The camera needs its horizontal field of view.";
  $("depth-state").textContent = `${depth} ${camera}`;
}

const number = (id) => ($(id).value === "" ? null : Number($(id).value));

// ---- completion ----

async function complete() {
  if (masksChanged || !job.has_masks) {
    job = await api.putMasks(job.id, editor.toCoco());
    masksChanged = false;
  }
  const values = { depth: $("depth-source").value, fov_deg: number("fov"), seed: number("seed"), steps: number("steps"), guidance: number("guidance") };
  job = await api.complete(job.id, values);
  forgetResult();
  follow(job.id);
}

function forgetResult() {
  shown = null;
  framed = false;
  viewer?.show([]);
  $("nothing").hidden = false;
  $("keys").hidden = true;
  describeJob();
}

async function follow(id) {
  try {
    while (job?.id === id && busy()) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      const next = await api.state(id);
      if (job?.id !== id) return;
      job = next;
      describeJob();
      const newest = job.stages.at(-1);
      if (newest && newest !== shown) await show(newest);
    }
    if (job?.id === id && job.state === "failed") throw new Error(job.message);
  } catch (error) {
    complain(error);
    if (error.status === 404 && job?.id === id) job = { ...job, state: "failed" };
    describeJob();
  }
}

async function show(stage) {
  shown = stage;
  const parts = readGlb(await api.scene(job.id, stage));
  if (shown !== stage) return;
  const fit = !framed || (stage === "result" && !viewer?.moved); // a view that somebody chose stays
  viewer?.show(parts, fit ? forward() : null);
  framed = true;
  $("nothing").hidden = $("keys").hidden = true;
  $("keys").hidden = !viewer;
  describeJob();
}

// Where the photograph's camera looks: its third axis, from the z-up world to the y-up scene.
function forward() {
  if (!job.T_world_cam) return [0, 0, -1];
  const [x, y, z] = job.T_world_cam.slice(0, 3).map((row) => row[2]);
  return [x, z, -y];
}

function describeJob() {
  const stages = job?.stages || [];
  $("stages").replaceChildren(...Object.keys(STAGES).map((stage) => stageTab(stage, stages.includes(stage))));
  $("complete").disabled = busy() || !objects.length;
  $("cancel").hidden = !busy();
  $("nothing").textContent = NOTHING[job?.state] || "The scene appears here, step by step.";
  describeProgress();
  describeOutcomes();
  $("downloads").hidden = job?.state !== "done";
  for (const link of $("downloads").querySelectorAll("a")) {
    if (job) link.href = api.fileUrl(job.id, link.dataset.file);
    link.hidden = !stages.includes("result") && link.dataset.file !== "report.json";
  }
}

function stageTab(stage, there) {
  const tab = document.createElement("button");
  tab.type = "button";
  tab.role = "tab";
  tab.ariaSelected = stage === shown;
  tab.disabled = !there;
  tab.textContent = STAGES[stage];
  tab.onclick = asked(() => show(stage));
  return tab;
}

function describeProgress() {
  $("progress").hidden = !busy();
  if (!busy()) return;
  const { step, done, total, instances } = job.progress;
  const [bar, text] = $("progress").children;
  if (step && total) bar.value = done / total;
  else bar.removeAttribute("value");
  const before = job.jobs_before + 1; // the one that is computed now
  const waiting = job.state === "running" ? "Starting" : `Waiting for ${before} other ${before === 1 ? "scene" : "scenes"}`;
  const ids = instances?.length ? `, objects ${instances.join(", ")}` : "";
  text.textContent = step ? `${STEPS[step]}: ${done} of ${total}${ids}` : waiting;
}

function describeOutcomes() {
  const rows = Object.entries(job?.outcomes || {}).map(([id, one]) => {
    const row = document.createElement("tr");
    const cells = [`Object ${id}`, one.outcome, one.reason || `${one.faces.toLocaleString()} faces${one.cut_by_border ? ", cut by the image's border" : ""}`];
    row.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    row.firstElementChild.prepend(swatch(Number(id)), " ");
    row.children[1].className = one.outcome;
    return row;
  });
  $("outcomes").tBodies[0].replaceChildren(...rows);
  $("outcomes").hidden = !rows.length;
}

// ---- start ----

function describeServer() {
  const clicks = server.segmenter ? ` Masks by clicks: ${server.segmenter}.` : "";
  $("checkpoint").textContent = `Checkpoint: ${server.checkpoint}, on ${server.device}.${clicks}`;
  const caution = CAUTIONS.find(([names]) => names.test(server.checkpoint))?.[1];
  $("warning").hidden = !caution;
  if (caution) $("warning").textContent = `This checkpoint calls itself “${server.checkpoint}”. ${caution}`;
  for (const name of ["click", "unclick"]) document.querySelector(`[data-tool="${name}"]`).hidden = !server.segmenter;
  $("steps").placeholder = server.steps;
  $("guidance").placeholder = server.guidance;
  $("steps").max = server.limits.steps;
  $("examples").hidden = !server.examples;
  $("example").max = server.examples - 1;
  $("example-depth").append(...server.example_depths.map((name) => new Option(name === "gt" ? "exact depth" : `depth: ${name}`, name)));
  if (server.estimator) $("depth-source").add(new Option(`estimated by ${server.estimator}`, "estimated"), 0);
  $("depth-source").selectedIndex = 0;
}

function listen() {
  const chosen = (id, use) => {
    $(id).onchange = asked(async ({ target }) => {
      const [file] = target.files;
      target.value = "";
      if (file) await use(file);
    });
  };
  const needsImage = (use) => (file) => {
    if (!job) throw new Error("Choose an image first.");
    return use(file);
  };
  chosen("image-file", openFile);
  chosen("mask-file", needsImage(async (file) => {
    job = await api.putMasks(job.id, file);
    editor.setIds(await api.picture(job.id, "masks"));
    masksChanged = false;
  }));
  chosen("depth-file", needsImage(async (file) => {
    job = await api.putDepth(job.id, file, number("depth-unit") ?? 1);
    describeInput();
  }));
  $("open-example").onclick = asked(() => open(() => api.example(number("example") ?? 0, $("example-depth").value)));
  $("complete").onclick = asked(complete);
  $("cancel").onclick = asked(async () => { job = await api.cancel(job.id); describeJob(); if (busy()) follow(job.id); });
  $("undo").onclick = () => editor.bitmap && editor.undo();
  $("remove").onclick = () => editor.bitmap && editor.remove(editor.current);
  $("brush").oninput = () => { editor.size = number("brush"); };
  $("depth-source").onchange = describeInput;
  $("tools").onclick = ({ target }) => target.dataset.tool && chooseTool(target.dataset.tool);
  $("error").lastElementChild.onclick = () => { $("error").hidden = true; };
  $("stage").ondragover = (event) => { event.preventDefault(); $("stage").classList.add("over"); };
  $("stage").ondragleave = () => $("stage").classList.remove("over");
  $("stage").ondrop = asked(async (event) => {
    event.preventDefault();
    $("stage").classList.remove("over");
    if (event.dataTransfer.files.length) await openFile(event.dataTransfer.files[0]);
  });
}

listen();
asked(async () => {
  server = await api.about();
  describeServer();
  chooseTool(server.segmenter ? "click" : "polygon");
  describeInput();
  describeJob();
  viewer = new Viewer($("scene"));
  window.fixer = { editor, viewer }; // for whoever looks into the page with a browser's tools
})();
