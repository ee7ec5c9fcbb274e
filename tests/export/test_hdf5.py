"""HDF5: the values by h5py, the pictures by BlenderProc's own command where it is installed."""

import json
import shutil
import subprocess

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")


def test_keys_and_values_are_those_of_blenderproc(exported, views):
    for (scene, number), view in views.items():
        with h5py.File(exported("hdf5") / f"{scene:06d}/{number}.hdf5") as file:
            assert (file["colors"][:] == view.rgb).all() and file["colors"].dtype == np.uint8
            assert (file["instance_segmaps"][:] == view.instance_id).all()
            hit = np.isfinite(view.depth_m)
            assert (file["depth"][:][hit] == view.depth_m[hit]).all() and (file["depth"][:][~hit] == 1e10).all()
            opencv = (file["normals"][:] - 0.5) * 2 * [1, -1, -1]
            np.testing.assert_allclose(opencv[hit], view.normal_cam[hit], atol=1e-6)
            assert (file["normals"][:][~hit] == 0.5).all()
            named = {each["idx"]: each for each in json.loads(file["instance_attribute_maps"][()])}
            camera = json.loads(file["campose"][()])[0]
        assert {*np.unique(view.instance_id)} <= named.keys()
        for seen in view.objects:
            if seen.facts.visible_px:
                assert named[seen.instance_id]["name"] == seen.asset_uid
                assert named[seen.instance_id]["local2world_matrix"] == seen.T_world_obj.tolist()
        opengl = np.array(camera["cam2world_matrix"])
        np.testing.assert_allclose(opengl @ np.diag([1, -1, -1, 1]), view.T_world_cam, atol=1e-12)
        assert camera["cam_K"][0][2] == view.K_px[0, 2] - 0.5


def test_blenderproc_shows_it(exported, tmp_path):
    program = shutil.which("blenderproc")
    if program is None:
        pytest.skip("blenderproc is not installed")
    command = [program, "vis", "hdf5", exported("hdf5") / "000000/0.hdf5", "--save", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    shown = {path.stem.split("_", 1)[1] for path in tmp_path.iterdir()}
    assert shown == {"colors", "depth", "instance_segmaps", "normals"}, done.stderr
