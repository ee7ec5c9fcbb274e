// Requests to the server. A refused request throws an Error with the sentence of the server.

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  const error = new Error(said.error || `The server answers ${response.status}.`);
  error.status = response.status;
  throw error;
}

const json = async (path, options) => (await request(path, options)).json();
const job = (id, rest = "") => `/api/jobs/${encodeURIComponent(id)}${rest}`;

// Whether a job waits or is being computed.
export const isBusy = (job) => job?.state === "waiting" || job?.state === "running";

export const about = () => json("/api/about");
export const upload = (file) => json("/api/jobs", { method: "POST", body: file });
export const examples = (first) => json(`/api/examples?first=${first}`);
export const thumbnailUrl = (number) => `/api/examples/${number}/thumbnail`;
export const example = (number, depth) => json(`/api/examples/${number}?depth=${encodeURIComponent(depth)}`, { method: "POST" });
export const state = (id) => json(job(id));
export const remove = (id) => request(job(id), { method: "DELETE", keepalive: true });
export const putMasks = (id, content, split = false) => json(job(id, `/masks${split ? "?split" : ""}`), { method: "PUT", body: content });
export const putDepth = (id, file, unit) => json(job(id, `/depth?unit=${encodeURIComponent(unit)}`), { method: "PUT", body: file });
export const complete = (id, values) => json(job(id, "/complete"), { method: "POST", body: JSON.stringify(values) });
export const cancel = (id) => json(job(id, "/cancel"), { method: "POST" });
export const fileUrl = (id, name) => job(id, `/files/${name}`);
export const scene = async (id, stage) => (await request(fileUrl(id, `${stage}.glb`))).arrayBuffer();

const bitmap = async (response) => createImageBitmap(await response.blob(), { colorSpaceConversion: "none", premultiplyAlpha: "none" });

export const picture = async (id, name) => bitmap(await request(job(id, `/${name}`)));
// points: [[x, y, 1 inside or 0 outside], ...]; the mask is white.
export const maskOfClicks = async (id, points) => bitmap(await request(job(id, "/click"), { method: "POST", body: JSON.stringify({ points }) }));
