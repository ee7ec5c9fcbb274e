import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from scenegen.commands.view import View
from scenegen.contract.dataset import Dataset
from scenegen.contract.index import shard_name
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.sidecar import (
    Alignment,
    DepthErrors,
    DepthEstimate,
    EstimatorMeta,
    encode_estimate,
    sidecar_schema,
)
from scenegen.view import colours
from scenegen.view.gallery import write_gallery
from scenegen.view.voxels import PrincipalColours, voxel_picture
from tests.conftest import with_glass, write_views
from tests.shards.object_rows import BROKEN, write_tables


def content(page):
    return json.loads(re.fullmatch(r"const GALLERY = (.*);\n", (page.parent / "data.js").read_text())[1])


def test_the_gallery_shows_every_view_with_its_four_pictures(dataset_dir, tmp_path):
    page = write_gallery(Dataset.open(dataset_dir), tmp_path / "g", max_views=100)
    views = content(page)["views"]
    assert [(view["scene"], view["view"]) for view in views] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    for view in views:
        assert all((page.parent / image).stat().st_size > 0 for image in view["images"].values())
    assert views[0]["objects"][0]["occlusion"] == pytest.approx(0.2)


def test_estimators_stand_beside_the_truth_with_their_errors(dataset_dir, tmp_path):
    dataset = Dataset.open(dataset_dir)
    write_sidecar_of_half_the_depth(dataset_dir, dataset)
    page = write_gallery(Dataset.open(dataset_dir), tmp_path / "g", max_views=100)
    gallery = content(page)
    assert [(e["name"], e["abs_rel"]) for e in gallery["dataset"]["estimators"]] == [("half", 0.0)]
    first, last = gallery["views"][0], gallery["views"][-1]
    assert first["estimates"]["half"]["delta1"] == 1.0 and last["estimates"] == {}
    assert {"depth_half", "error_half"} <= set(first["images"]) and len(last["images"]) == 4
    assert all((page.parent / image).stat().st_size > 0 for image in first["images"].values())
    truth, estimate = (np.asarray(Image.open(page.parent / first["images"][kind])) for kind in ("depth", "depth_half"))
    assert np.abs(truth.astype(int) - estimate).mean() < 2  # aligned, and on the same scale of colours


def test_a_dataset_of_both_surfaces_shows_what_is_behind_glass(dataset_dir, tmp_path, test_images):
    dataset = write_views(dataset_dir, with_glass(test_images(0)), "both")
    page = write_gallery(dataset, tmp_path / "g", max_views=1)
    (view,) = content(page)["views"]
    assert {"opaque_depth", "opaque_ids", "opaque_normals"} <= view["images"].keys()
    ids, behind = (np.asarray(Image.open(page.parent / view["images"][kind])) for kind in ("ids", "opaque_ids"))
    assert np.abs(ids.astype(int) - behind).max() > 50
    assert content(page)["dataset"]["metadata"]["transparent"] == "both"


def write_sidecar_of_half_the_depth(folder, dataset):
    """For the first of the two shards."""
    meta = EstimatorMeta("half", "depth", False, "scale", "nobody/half", "", "", "MIT", "MIT", True)
    path = folder / shard_name("depth_half", 0, 2)
    with pq.ParquetWriter(path, sidecar_schema(meta, dataset.metadata()["config_digest"])) as writer:
        for view in map(dataset.view, range(4)):
            estimate = DepthEstimate(
                view.scene_index,
                view.view_index,
                "half",
                "depth",
                False,
                view.depth_m / 2,
                alignment=Alignment("scale", 2.0),
                errors=DepthErrors(0.0, 1.0),
            )
            row = encode_estimate(estimate, 1.0)
            writer.write_batch(row.replace_schema_metadata(writer.schema.metadata), row_group_size=1)


def test_objects_have_a_page_with_their_views_voxels_and_features(dataset_dir, tmp_path):
    write_tables(dataset_dir)
    assert View(data=str(dataset_dir), out=tmp_path / "g").run() == 0
    text = (tmp_path / "g" / "objects_data.js").read_text()
    page = json.loads(re.fullmatch(r"const OBJECTS = (.*);\n", text)[1])
    assert [asset["uid"] for asset in page["assets"]] == list(ObjectDataset.open(dataset_dir).uids())
    broken, *good = page["assets"]
    assert (broken["uid"], broken["failure"], broken["images"]) == (BROKEN, "truncated file", {})
    for asset in good:
        assert set(asset["images"]) == {"condition-0", "feature-0", "feature-1", "voxels", "features-small"}
        assert all((tmp_path / "g" / image).stat().st_size > 0 for image in asset["images"].values())
        assert asset["poses"] == {"ours": 1}
    assert content(tmp_path / "g" / "index.html")["dataset"]["has_objects"]
    assert not [*re.findall(r"https?://", (tmp_path / "g" / "objects.js").read_text())]


def test_a_dataset_without_objects_has_no_page_of_them(dataset_dir, tmp_path):
    page = write_gallery(Dataset.open(dataset_dir), tmp_path / "g", max_views=1)
    assert not content(page)["dataset"]["has_objects"] and not (tmp_path / "g" / "objects.html").exists()
    with pytest.raises(FileNotFoundError, match="scenegen objects"):
        View(data=str(dataset_dir), objects=str(tmp_path), out=tmp_path / "g").run()


def test_the_upper_side_of_a_voxel_is_the_brightest_and_near_ones_hide_far_ones():
    white = np.full((1, 3), 200, np.uint8)
    single = voxel_picture(np.array([[32, 32, 32]]), white, 640)[..., 0]
    assert {*np.unique(single)} == {0, 124, 160, 200}
    rows = [np.flatnonzero((single == value).any(axis=1)).mean() for value in (200, 160)]
    assert rows[0] < rows[1]
    column = np.array([[32, 32, 32], [32, 32, 33]])
    both = voxel_picture(column, np.array([[255, 0, 0], [0, 255, 0]], np.uint8), 640)
    assert not (both[..., 0] == 255).any() and (both[..., 1] == 255).any()


def test_like_features_have_like_colours():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 8))
    colour_of = PrincipalColours(np.repeat(centres, 50, axis=0) + 0.01 * rng.normal(size=(250, 8)))
    first, again, other = colour_of(np.stack([centres[0], centres[0] + 0.01, centres[1]])).astype(int)
    assert np.abs(first - again).max() < 12 < np.abs(first - other).max()


def test_right_is_grey_too_far_is_orange_and_too_near_is_blue():
    truth = np.full((1, 4), 2.0)
    right, far, near, nothing = colours.error_picture(np.array([[2.0, 3.0, 1.0, np.nan]]), truth)[0].astype(int)
    assert np.ptp(right) < 12 and far[0] > far[2] and near[2] > near[0] and nothing.sum() == 0


def test_a_large_dataset_is_sampled_evenly(dataset_dir, tmp_path):
    page = write_gallery(Dataset.open(dataset_dir), tmp_path / "g", max_views=3)
    assert [(view["scene"], view["view"]) for view in content(page)["views"]] == [(0, 0), (1, 0), (2, 1)]


def test_the_page_needs_no_network(dataset_dir, tmp_path):
    page = write_gallery(Dataset.open(dataset_dir), tmp_path / "g", max_views=1)
    for name in ("index.html", "gallery.css", "gallery.js"):
        text = (page.parent / name).read_text()
        assert not [url for url in re.findall(r"https?://[^\"' ]+", text) if "www.w3.org" not in url]


def test_a_second_gallery_replaces_the_first_and_nothing_else(dataset_dir, tmp_path):
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "mine.txt").write_text("keep")
    for views in (6, 1):
        write_gallery(Dataset.open(dataset_dir), tmp_path / "g", max_views=views)
    assert len(list((tmp_path / "g" / "images").iterdir())) == 4
    assert (tmp_path / "g" / "mine.txt").read_text() == "keep"


def test_near_is_bright_far_is_dark_and_invalid_is_black():
    picture = colours.depth_picture(np.array([[1.0, 2.0, 3.0, np.nan]])).sum(axis=-1)[0]
    assert picture[0] > picture[1] > picture[2] > picture[3] == 0


def test_neighbouring_ids_have_colours_far_apart():
    palette = np.array([colours.id_colour(i) for i in range(3, 23)], float)
    distance = np.linalg.norm(palette[:, None] - palette[None], axis=-1) + 1e9 * np.eye(20)
    assert distance.min() > 20


def test_a_contact_sheet_is_one_picture_of_several_views(dataset_dir, tmp_path):
    assert View(data=str(dataset_dir), contact_sheet=tmp_path / "sheet.png").run() == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (4 * 320, 2 * 240)


def test_bad_arguments_are_refused(dataset_dir):
    with pytest.raises(ValueError, match="must end in"):
        View(data=str(dataset_dir), contact_sheet=Path("sheet.txt")).run()
    with pytest.raises(ValueError, match="at least 1"):
        View(data=str(dataset_dir), max_views=0).run()
    with pytest.raises(ValueError, match="--out"):
        View(data="s3://bucket/data").run()
