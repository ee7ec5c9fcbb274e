"""How a dataset is read with other people's tools, in Markdown: in every data card and in the contract's README."""

READING = """\
Here `data/` is the folder of these files. Of a dataset on the Hugging Face hub, write `hf://datasets/OWNER/NAME` in
its place, and `OWNER/NAME` for `load_dataset`, which takes its tables from the header of `README.md`. With the
package of the dataset, `pip install 'fixer3d[hub]'`:

```python
import scenegen

view = scenegen.open_dataset("data/").view(0)  # rgb, depth_m, instance_id, normal_cam, K_px, T_world_cam, objects
```

With `datasets` (4 or newer), which shows `rgb`, `albedo`, `thumbnail`, `rgba` and `crop` as images of Pillow:

```python
from datasets import load_dataset

views = load_dataset("data/", "views", split="train", streaming=True)  # or scenes, depth_moge2, objects, ...
row = next(iter(views))
row["rgb"].size, row["objects"][0]["visible_px"]
```

With DuckDB and Polars, which read thin columns without touching an image:

```python
import duckdb

seen = duckdb.sql(
    "SELECT scene_index, view_index, o.* FROM "
    "(SELECT scene_index, view_index, unnest(objects) AS o FROM 'data/views-*.parquet') WHERE o.visible_px > 0"
)
```

```python
import polars as pl

views = pl.scan_parquet("data/views-*.parquet").select("scene_index", "view_index", "objects")
seen = views.explode("objects").unnest("objects").filter(pl.col("visible_px") > 0).collect()
```

Without any of them: images are lossless WebP, or 16-bit planes: of each row of pixels the differences to the pixel on
the left modulo 65536, all low bytes before all high ones, then zstd. These lines give the arrays of the package bit
for bit:

```python
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def planes(blob, channels=1):  # (channels, H, W) uint16
    shape = channels, row["height"], row["width"]
    raw = pa.Codec("zstd").decompress(blob, decompressed_size=2 * np.prod(shape))
    low, high = np.frombuffer(raw, np.uint8).reshape(2, *shape).astype(np.uint16)
    return np.cumsum(low | high << 8, axis=-1, dtype=np.uint16)


first = min(Path("data").glob("views-*.parquet"))
row = pq.ParquetFile(first).read_row_group(0).to_pylist()[0]  # a view is a row group
rgb = np.asarray(Image.open(io.BytesIO(row["rgb"])))  # albedo alike
instance_id = planes(row["instance_id"])[0]
code = planes(row["depth"])[0].astype(np.float32)
depth_m = code * np.float32(row["depth_step_m"]) + np.float32(row["depth_offset_m"])
depth_m[code == 0] = np.nan
code = planes(row["normal_cam"], channels=2).astype(np.float32)
uv = (code - 8192) / 8191  # octahedral coordinates: the faces with z < 0 are folded outwards
z = 1 - np.abs(uv).sum(axis=0)
xy = np.where(z < 0, (1 - np.abs(uv[::-1])) * np.where(uv >= 0, np.float32(1), np.float32(-1)), uv)
normal_cam = np.stack([*xy, z], axis=-1)
normal_cam /= np.linalg.norm(normal_cam, axis=-1, keepdims=True)
normal_cam[(code == 0).all(axis=0)] = np.nan
```

What each column holds, its unit, axes and invalid value stand in its metadata, and so does how the codes of other
images become values: `pq.read_schema(file).field("depth").metadata`.
"""
