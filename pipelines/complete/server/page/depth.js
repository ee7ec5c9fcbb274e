// Where the depth comes from: an estimator, or a file and the unit of its values.

const $ = (id) => document.getElementById(id);

export class DepthField {
  // send: sends a file with its unit to the server, a promise. changed: called when another choice was made.
  constructor({ send, changed, asked }) {
    this.send = send;
    this.forget();
    $("depth-source").onchange = changed;
    for (const id of ["depth-unit", "depth-unit-m"])
      $(id).onchange = asked(async () => {
        changed();
        if (this.file) await this.take(this.file);
      });
  }

  start({ estimator }) {
    this.estimator = estimator;
    if (estimator) $("depth-source").add(new Option(`estimated by ${estimator}`, "estimated"), 0);
    $("depth-source").selectedIndex = 0;
  }

  get source() {
    return $("depth-source").value;
  }

  get unit() {
    return $("depth-unit").value === "other" ? $("depth-unit-m").value : $("depth-unit").value;
  }

  // The file is kept, so that it can be sent again with another unit.
  take(file) {
    this.file = file;
    return this.send(file, this.unit);
  }

  forget() {
    this.file = null;
  }

  // job: null while there is none.
  describe(job) {
    const estimated = this.source === "estimated";
    $("depth-choice").hidden = $("depth-units").hidden = estimated;
    $("other-unit").hidden = $("depth-unit").value !== "other";
    const given = job?.has_depth ? `The depth is there: ${job.depth_note.replace(/^depth /, "")}.` : "A .npy array or a 16-bit .png with planar depth; it may be smaller than the image.";
    $("depth-state").textContent = estimated ? `${this.estimator} estimates the depth.` : given;
  }
}
