"""WebDataset, read by its library with no decoder of ours."""

import numpy as np
import pytest

webdataset = pytest.importorskip("webdataset")


def test_samples_are_equal_to_the_views(exported, views):
    tar = str(exported("webdataset") / "views-000000.tar")
    samples = [*webdataset.WebDataset(tar, shardshuffle=False).decode("rgb8")]
    assert [sample["__key__"] for sample in samples] == ["000000_0000", "000000_0001", "000001_0000", "000001_0001"]
    for sample in samples:
        facts = sample["json"]
        view = views[facts["scene_index"], facts["view_index"]]
        assert (sample["rgb.png"] == view.rgb).all()
        assert np.array_equal(sample["maps.npz"]["depth_m"], view.depth_m, equal_nan=True)
        assert (sample["maps.npz"]["instance_id"] == view.instance_id).all()
        assert (np.array(facts["K_px"]) == view.K_px).all() and (
            np.array(facts["T_world_cam"]) == view.T_world_cam
        ).all()
        assert [o["instance_id"] for o in facts["objects"]] == [f.instance_id for f in view.facts if f.visible_px]
        for seen in facts["objects"]:
            (ours,) = [o for o in view.objects if o.instance_id == seen["instance_id"]]
            T_world_obj = view.T_world_cam @ np.array(seen["T_cam_obj"])
            np.testing.assert_allclose(T_world_obj, ours.T_world_obj, atol=1e-12)
