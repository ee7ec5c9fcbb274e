// The page: puts the image, the masks, the server and the 3D view together. One job at a time.

import * as api from "./api.js";
import { toCoco } from "./coco.js";
import { DepthField } from "./depth.js";
import { Examples } from "./examples.js";
import { MaskEditor } from "./masks.js";
import { asked, complain } from "./messages.js";
import { ObjectList } from "./objects.js";
import { ResultView, STEPS } from "./result.js";

const $ = (id) => document.getElementById(id);
const POLL_MS = 400;
const HINTS = {
  click: "Click on the object; right- or shift-click on what does not belong to it.",
  unclick: "Click on what does not belong to the object; then again with Click on what does.",
  polygon: "Polygon: click the corners; the first one again, a double-click or Enter closes it, Escape drops it.",
  brush: "Brush: drag over the object.",
  erase: "Erase: drag over what belongs to no object.",
};
const ENDED = new Set(["completed", "skipped", "failed", "cancelled"]); // states of objects
// What the title of a checkpoint tells about its results; the first that fits is shown.
const CAUTIONS = [
  [/\b(random|untrained|never trained|tiny|tests?)\b/i, "Its results show that the system works, not how good it is."],
  [/\b(compact|small)\b/i, "It is a small model, not the released 3D-Fixer: expect coarse shapes and colours."],
];

let server; // its facts
let job = null; // as the server last described it
let masksChanged = false; // since they were sent
let examples = null; // if the server has some
let areas = new Map(); // pixels of each object that has a mask
let names = {}; // of objects, where they are known
const result = new ResultView();
const editor = new MaskEditor($("canvas"), {
  changed(masks = true) {
    if (masks) {
      masksChanged = $("split").hidden = true; // that is of a file as it was
      $("mask-state").textContent = "";
      areas = editor.areas();
    }
    describeObjects();
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

const list = new ObjectList($("objects"), {
  select: (id) => editor.select(id),
  remove(id) {
    delete names[id];
    editor.remove(id);
  },
  highlight(id) {
    editor.highlight(id);
    result.highlight(id);
  },
});

const busy = () => api.isBusy(job);

// ---- image ----

// row: the number of the example; null for an image of the visitor.
async function open(make, row = null) {
  if (busy()) throw new Error("A scene is being completed; cancel it first.");
  $("stage").ariaBusy = true;
  $("image-state").textContent = "Opening …";
  try {
    const next = await make();
    const pictures = await Promise.all([api.picture(next.id, "image"), next.has_masks ? api.picture(next.id, "masks") : null]);
    if (job) api.remove(job.id).catch(() => {}); // expired already, which is as good
    [job, names] = [next, { ...next.names }];
    depth.forget();
    $("drop").hidden = true;
    $("canvas").hidden = false;
    editor.open(pictures[0]);
    if (pictures[1]) editor.setIds(pictures[1]);
    masksChanged = false;
    examples?.choose(row);
    forgetResult();
    describeInput();
  } finally {
    $("stage").ariaBusy = false;
    $("image-state").textContent = "";
  }
}

const openExample = (number, depth) => open(() => api.example(number, depth), number);

function openFile(file) {
  if (file.size > server.limits.upload_bytes)
    throw new Error(`The file is larger than ${server.limits.upload_bytes / 1e6} MB, the limit of this server.`);
  return open(() => api.upload(file));
}

// ---- masks ----

// split: each part of a single mask is an object.
async function openMasks(file, split = false) {
  job = await api.putMasks(job.id, file, split);
  names = {};
  editor.setIds(await api.picture(job.id, "masks"));
  masksChanged = false;
  $("mask-state").textContent = job.mask_notes.map((note) => `${note}.`).join(" ");
  $("split").hidden = job.mask_parts < 2;
  $("split").textContent = `Split into ${job.mask_parts} objects`;
  $("split").onclick = asked(() => openMasks(file, true));
}

function describeObjects() {
  const ids = editor.bitmap ? [...new Set([...areas.keys(), editor.current])].sort((a, b) => a - b) : [];
  list.show(ids.map((id) => ({ id, name: names[id] || "", ...stateOf(id) })), editor.current);
  $("new-object").hidden = !areas.has(editor.current);
  describeMissing();
}

// The state of an object for people: how far it is, or its outcome.
function stateOf(id) {
  const one = job?.objects[id];
  const pixels = areas.get(id);
  if (!one) return { state: "", text: pixels ? `${pixels.toLocaleString()} px` : "no mask yet" };
  const { state, reason, faces, cut_by_border } = one;
  if (busy() && job.progress.instances?.includes(id) && !ENDED.has(state)) return { state, working: true, text: `${STEPS[job.progress.step]} …` };
  const more = { completed: cut_by_border ? ", cut by the border" : "", skipped: `: ${reason}`, failed: `: ${reason}` };
  return { state, text: `${state}${more[state] || ""}`, title: state === "completed" ? `${faces.toLocaleString()} faces` : "" };
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

const depth = new DepthField({
  async send(file, unit) {
    if (busy()) throw new Error("A scene is being completed; cancel it first.");
    try {
      job = await api.putDepth(job.id, file, unit);
    } finally {
      describeInput();
    }
  },
  changed: () => describeInput(),
  asked,
});

function describeInput() {
  const hint = depth.source === "estimated" ? "Without it, the estimator finds it too." : "From the left edge of the image to the right. A phone's main camera (26 mm) has 67° in landscape, 53° in portrait.";
  depth.describe(job);
  $("camera-state").textContent = number("fov") ? "" : job?.has_camera ? "The camera is known." : hint;
  describeMissing();
}

// What the button still waits for.
function describeMissing() {
  const estimates = depth.source === "estimated";
  const missing = [
    [!job, "an image"], [!areas.size, "an object"], [!estimates && !job?.has_depth, "its depth"],
    [!estimates && !job?.has_camera && !number("fov"), "the field of view"],
  ].filter(([lacks]) => lacks).map(([, what]) => what);
  $("complete").disabled = busy() || !areas.size;
  $("missing").textContent = missing.length && !busy() ? `still needs ${missing.join(", ")}` : "";
}

const number = (id) => ($(id).value === "" ? null : Number($(id).value));

// ---- completion ----

async function complete() {
  if (masksChanged || !job.has_masks) {
    job = await api.putMasks(job.id, toCoco(editor.ids, editor.canvas.width, editor.canvas.height));
    masksChanged = false;
  }
  const values = { depth: depth.source, fov_deg: number("fov"), seed: number("seed"), steps: number("steps"), guidance: number("guidance") };
  job = await api.complete(job.id, values);
  forgetResult();
  follow(job.id);
}

function forgetResult() {
  result.forget();
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
      await result.showNewest();
    }
    if (job?.id === id && job.state === "failed") throw new Error(job.message);
  } catch (error) {
    complain(error);
    if (error.status === 404 && job?.id === id) job = { ...job, state: "failed" };
    describeJob();
  }
}

function describeJob() {
  result.describe(job);
  describeObjects();
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
  depth.start(server);
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
  chosen("mask-file", needsImage((file) => openMasks(file)));
  chosen("depth-file", needsImage((file) => depth.take(file)));
  $("fov").oninput = describeInput;
  $("new-object").onclick = () => editor.select(Math.max(...areas.keys()) + 1);
  $("complete").onclick = asked(complete);
  $("cancel").onclick = asked(async () => { job = await api.cancel(job.id); describeJob(); if (busy()) follow(job.id); });
  $("undo").onclick = () => editor.bitmap && editor.undo();
  $("remove").onclick = () => editor.bitmap && list.remove(editor.current);
  $("brush").oninput = () => { editor.size = number("brush"); };
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
  result.start();
  window.fixer = { editor, viewer: result.viewer }; // for whoever looks into the page with a browser's tools
  if (server.examples) {
    examples = new Examples({ open: openExample, asked });
    await examples.start(server);
  }
})();
