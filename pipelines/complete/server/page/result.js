// The result: a 3D view with a tab for each stage, how far the job is, and the files to download.

import * as api from "./api.js";
import { readGlb } from "./glb.js";
import { asked } from "./messages.js";
import { Viewer } from "./viewer.js";

const $ = (id) => document.getElementById(id);
const STAGES = { seen: "Seen points", coarse: "Coarse", fine: "Fine", result: "Textured result" };
export const STEPS = {
  depth: "Estimating depth", observe: "Looking at objects", encode: "Encoding the image", coarse: "Coarse structure",
  fine: "Fine structure", texture: "Texture", mesh: "Meshes", gaussians: "Gaussians",
};
const NOTHING = { done: "No object could be completed; the list of objects says why.", cancelled: "Cancelled." }; // by state

export class ResultView {
  constructor() {
    this.job = null; // as it was last described
    this.viewer = null; // until `start`, and in browsers without WebGL 2
    this.forget();
  }

  // Throws without WebGL 2.
  start() {
    this.viewer = new Viewer($("scene"));
  }

  // Shows nothing.
  forget() {
    this.shown = null; // the stage in the 3D view
    this.framed = false; // whether the view was placed for this job
    this.viewer?.show([]);
    $("nothing").hidden = false;
    $("keys").hidden = true;
  }

  highlight(id) {
    this.viewer?.highlight(id);
  }

  // The newest stage of the job, if it is not shown already.
  async showNewest() {
    const newest = this.job.stages.at(-1);
    if (newest && newest !== this.shown) await this.show(newest);
  }

  async show(stage) {
    this.shown = stage;
    const parts = readGlb(await api.scene(this.job.id, stage));
    if (this.shown !== stage) return; // another one was asked for meanwhile
    const fit = !this.framed || (stage === "result" && !this.viewer?.moved); // a view that somebody chose stays
    this.viewer?.show(parts, fit ? forward(this.job) : null);
    this.framed = true;
    $("nothing").hidden = true;
    $("keys").hidden = !this.viewer;
    this.describe(this.job);
  }

  // job: as the server describes it; null while there is none.
  describe(job) {
    this.job = job;
    const stages = job?.stages || [];
    $("stages").replaceChildren(...Object.keys(STAGES).map((stage) => this.tab(stage, stages.includes(stage))));
    $("cancel").hidden = !api.isBusy(job);
    $("nothing").textContent = NOTHING[job?.state] || "The scene appears here, step by step.";
    describeProgress(job);
    $("downloads").hidden = job?.state !== "done";
    for (const link of $("downloads").querySelectorAll("a")) {
      if (job) link.href = api.fileUrl(job.id, link.dataset.file);
      link.hidden = !stages.includes("result") && link.dataset.file !== "report.json";
    }
  }

  tab(stage, there) {
    const tab = document.createElement("button");
    tab.type = "button";
    tab.role = "tab";
    tab.ariaSelected = stage === this.shown;
    tab.disabled = !there;
    tab.textContent = STAGES[stage];
    tab.onclick = asked(() => this.show(stage));
    return tab;
  }
}

// Where the camera of the image looks: its third axis, from the z-up world to the y-up scene.
function forward({ T_world_cam }) {
  if (!T_world_cam) return [0, 0, -1];
  const [x, y, z] = T_world_cam.slice(0, 3).map((row) => row[2]);
  return [x, z, -y];
}

function describeProgress(job) {
  $("progress").hidden = !api.isBusy(job);
  if (!api.isBusy(job)) return;
  const { step, done, total } = job.progress;
  const [bar, text] = $("progress").children;
  if (step && total) bar.value = done / total;
  else bar.removeAttribute("value");
  const before = job.jobs_before + 1; // with the one that is computed now
  const waiting = job.state === "running" ? "Starting" : `Waiting for ${before} other ${before === 1 ? "scene" : "scenes"}`;
  text.textContent = step ? `${STEPS[step]}: ${done} of ${total}` : waiting;
}
