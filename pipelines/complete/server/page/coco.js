// Masks as COCO JSON.

// ids: of each pixel, row by row; 0 is no object. Run lengths are column by column, zeros first.
export function toCoco(ids, width, height) {
  const runs = new Map();
  const end = (id, from, to) => {
    if (!runs.has(id)) runs.set(id, { counts: [], last: 0 });
    const run = runs.get(id);
    run.counts.push(from - run.last, to - from);
    run.last = to;
  };
  let from = 0;
  let id = ids[0];
  for (let p = 1; p <= width * height; p++) {
    const next = p < width * height ? ids[(p % height) * width + Math.floor(p / height)] : -1;
    if (next === id) continue;
    if (id) end(id, from, p);
    [from, id] = [p, next];
  }
  const annotations = [...runs].map(([own, { counts, last }]) => ({
    id: own,
    segmentation: { size: [height, width], counts: [...counts, width * height - last] },
  }));
  return JSON.stringify({ annotations });
}
