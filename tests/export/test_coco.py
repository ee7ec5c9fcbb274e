"""COCO, read by pycocotools."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pycocotools")
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO


@pytest.fixture(scope="module")
def folder(exported) -> Path:
    return exported("coco", "--amodal-masks", "--categories", "asset")


@pytest.fixture(scope="module")
def coco(folder) -> COCO:
    return COCO(folder / "annotations/instances.json")


def test_every_mask_is_the_set_of_pixels_with_the_id(coco, views):
    seen = 0
    for image in coco.loadImgs(coco.getImgIds()):
        view = views[image["scene_index"], image["view_index"]]
        for annotation in coco.loadAnns(coco.getAnnIds(image["id"])):
            mask = coco.annToMask(annotation)
            assert (mask == (view.instance_id == annotation["instance_id"])).all()
            assert annotation["area"] == mask.sum() > 0
            assert coco_mask.toBbox(annotation["segmentation"]).tolist() == annotation["bbox"]
            seen += 1
    assert seen == sum(facts.visible_px > 0 for view in views.values() for facts in view.facts) == 12


def test_amodal_masks_have_the_area_and_the_box_of_the_facts(coco, views):
    hidden = 0
    for annotation in coco.dataset["annotations"]:
        image = coco.imgs[annotation["image_id"]]
        view = views[image["scene_index"], image["view_index"]]
        facts = next(f for f in view.facts if f.instance_id == annotation["instance_id"])
        whole = annotation["amodal_segmentation"]
        assert coco_mask.area(whole) == facts.amodal_px == annotation["amodal_area"]
        assert coco_mask.toBbox(whole).tolist() == annotation["amodal_bbox"]
        hidden += facts.amodal_px - facts.visible_px
    assert hidden > 0


def test_images_are_lossless_and_poses_are_ours(coco, folder, views):
    for image in coco.dataset["images"]:
        view = views[image["scene_index"], image["view_index"]]
        assert (np.array(Image.open(folder / "images" / image["file_name"])) == view.rgb).all()
        assert (np.array(image["K_px"]) == view.K_px).all() and (image["width"], image["height"]) == view.size_px
    for annotation in coco.dataset["annotations"]:
        image = coco.imgs[annotation["image_id"]]
        view = views[image["scene_index"], image["view_index"]]
        (seen,) = [o for o in view.objects if o.instance_id == annotation["instance_id"]]
        T_world_obj = np.array(image["T_world_cam"]) @ np.array(annotation["T_cam_obj"])
        np.testing.assert_allclose(T_world_obj, seen.T_world_obj, atol=1e-12)


def test_each_asset_can_be_a_category_or_all_be_one(coco, exported):
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == sorted({a["asset_uid"] for a in coco.anns.values()})
    assert all(coco.cats[a["category_id"]]["name"] == a["asset_uid"] for a in coco.anns.values())
    plain = json.loads((exported("coco") / "annotations/instances.json").read_text())
    assert [c["name"] for c in plain["categories"]] == ["object"]
    assert {a["category_id"] for a in plain["annotations"]} == {1}
