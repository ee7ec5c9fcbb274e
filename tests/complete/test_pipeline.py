"""The whole pipeline on tiny random networks: outcomes, independence of the batch, checkpoints, memory."""

import shutil

import numpy as np
import pytest
import torch

from models.checkpoints import CheckpointError
from pipelines.complete import FixerPipeline, Settings
from pipelines.complete.results import STEPS, ColouredMesh
from pipelines.complete.run import scene_run
from pipelines.complete.run.batches import OutOfMemory, in_batches
from pipelines.complete.run.memory import MemoryBudget
from pipelines.complete.steps import structure
from pipelines.complete.steps.observe import observe
from pipelines.complete.view import Frame, SceneView
from pipelines.errors import PipelineError, UsageError
from pipelines.frames import fine_cube
from pipelines.voxelise import voxel_centres


def run(pipe, scene, **options):
    options = {"depth_ratio": 0.0, "seed": 4, **options}
    return pipe(scene.rgb_HW3, options.pop("masks", scene.ids_HW), scene.depth_HW, scene.camera, **options)


def test_every_sphere_is_completed_and_everything_is_said_of_it(completion) -> None:
    assert [one.outcome for one in completion.instances] == ["completed"] * 5
    for one in completion.instances:
        assert one.mesh.faces_F3.max() < len(one.mesh.vertices_V3) == len(one.mesh.colours_V3)
        assert len(one.gaussians.raw_xyz_G3) == 4 * len(one.fine_V3)
        assert 0 <= one.visible_share <= 1
        assert set(one.seconds) == set(STEPS)
    assert set(completion.seconds) == set(STEPS)


def test_an_instance_alone_comes_out_as_among_others(pipe, scene, completion) -> None:
    alone = run(pipe, scene, instances=[3])[3]
    among = completion[3]
    assert alone.seed == among.seed
    assert np.array_equal(alone.coarse_V3, among.coarse_V3)
    assert np.array_equal(alone.fine_V3, among.fine_V3)
    np.testing.assert_allclose(alone.T_world_obj, among.T_world_obj, atol=1e-9)
    np.testing.assert_allclose(alone.mesh.vertices_V3, among.mesh.vertices_V3, atol=1e-4)
    np.testing.assert_allclose(alone.mesh.colours_V3.astype(int), among.mesh.colours_V3.astype(int), atol=1)
    torch.testing.assert_close(alone.gaussians.raw_xyz_G3, among.gaussians.raw_xyz_G3, atol=1e-4, rtol=1e-3)


def test_another_seed_gives_another_completion_and_the_same_seed_the_same(pipe, scene, completion) -> None:
    settings = Settings(gaussians=False)
    again, other = (run(pipe, scene, instances=[2], seed=seed, settings=settings)[2] for seed in (4, 5))
    assert np.array_equal(again.coarse_V3, completion[2].coarse_V3)
    assert not np.array_equal(other.coarse_V3, completion[2].coarse_V3)
    assert again.gaussians is None


def test_voxels_are_carved_and_thinned_where_it_is_asked_for_and_not_by_a_checkpoint_that_says_nothing(
    pipe, scene, completion, monkeypatch
) -> None:
    assert not pipe.networks.carve and not pipe.networks.thin
    carved = run(pipe, scene, instances=[1, 3], settings=Settings(gaussians=False, carve=True))
    assert carved[1].outcome == "completed"
    for after in carved.instances:
        left, all_of_them = (
            {tuple(voxel) for voxel in one.coarse_V3.tolist()} for one in (after, completion[after.instance_id])
        )
        assert left < all_of_them, "random networks fill the air"
    # Random networks have no walls to thin.
    monkeypatch.setattr(structure, "ridge", lambda logits_RRR, voxels_V3: voxels_V3[::2])
    thin = run(pipe, scene, instances=[1, 3], settings=Settings(gaussians=False, thin=True))
    for after in thin.instances:
        before = completion[after.instance_id]
        assert np.array_equal(before.coarse_V3, after.coarse_V3)
        assert np.array_equal(before.fine_V3[::2], after.fine_V3)


def test_what_cannot_be_completed_is_named_and_the_rest_goes_on(pipe, scene, monkeypatch) -> None:
    real = scene_run.complete_structure

    def empties_instance_two(networks, jobs, *rest):
        with torch.no_grad():
            results = real(networks, jobs, *rest)
        failure = scene_run.InstanceFailure("the network left every voxel empty")
        return [failure if job.instance_id == 2 else r for job, r in zip(jobs, results, strict=True)]

    monkeypatch.setattr(scene_run, "complete_structure", empties_instance_two)
    nothing, blind = np.zeros_like(scene.ids_HW, bool), np.isnan(scene.depth_HW)
    masks = {8: nothing, 2: scene.ids_HW == 2, 9: blind, 5: scene.ids_HW == 5}
    result = run(pipe, scene, masks=masks, settings=Settings(gaussians=False))
    assert [(one.instance_id, one.outcome) for one in result.instances] == [
        (8, "skipped"),
        (2, "failed"),
        (9, "skipped"),
        (5, "completed"),
    ]
    assert "empty" in result[8].reason
    assert "every voxel" in result[2].reason
    assert "depth" in result[9].reason
    assert result[5].cut_by_border
    assert result[2].coarse is not None
    assert result[2].mesh is None


def test_a_scene_without_anything_to_complete_is_no_error(pipe, scene) -> None:
    result = run(pipe, scene, masks={1: np.zeros_like(scene.ids_HW, bool)})
    assert result.completed == ()
    assert result[1].reason == "the mask is empty"


def test_true_voxels_come_out_where_the_objects_are(pipe, scene, monkeypatch) -> None:
    """An oracle that knows the spheres stands in for samplers and decoder; all frames and cubes are the pipeline's."""
    monkeypatch.setattr(scene_run, "complete_structure", _oracle(scene))
    monkeypatch.setattr(scene_run, "decode_meshes", lambda _, latents, *more: [_points(one) for one in latents])
    result = run(pipe, scene, instances=[1], settings=Settings(gaussians=False, clean=False))
    for one in result.completed:
        T = one.T_world_obj
        world = one.mesh.vertices_V3 @ T[:3, :3].T + T[:3, 3]
        assert np.abs(scene.surface_distance(one.instance_id, world)).max() < T[0, 0] / 64
        centre = scene.centres_N3[one.instance_id - 1]
        wall = T[1, 3] + T[0, 0] / 2  # the back of a sphere lies a little beyond its fine cube
        high = np.minimum(centre + scene.radius, [np.inf, wall, np.inf])
        np.testing.assert_allclose(world.min(0), centre - scene.radius, atol=0.02)
        np.testing.assert_allclose(world.max(0), high, atol=0.02)
    assert 0.2 < result[1].visible_share < 0.6  # less than half of a sphere is seen; the depth test knows


def _points(latent):
    vertices = voxel_centres(latent.voxels_N3).numpy()
    return ColouredMesh(vertices, np.array([[0, 1, 2]]), None)


def _oracle(scene):
    """The voxels of every sphere in its coarse cube, then in its fine cube."""
    view = SceneView(scene.rgb_HW3, scene.depth_HW, scene.camera)
    frame = Frame.of(view, "letterbox")
    grid = torch.cartesian_prod(*[torch.arange(64)] * 3)
    fine = {}

    def complete(networks, jobs, *_):
        results = []
        for job in jobs:
            i = job.instance_id
            cube = observe(i, scene.ids_HW == i, view, frame, 64, 16, networks.branch.reference_compat).coarse
            points = voxel_centres(grid).double()
            points = cube.to_outer(fine[i].to_outer(points) if i in fine else points)
            side = float(cube.side * (fine[i].side if i in fine else 1))
            shell = np.abs(scene.surface_distance(i, points.numpy())) < 0.6 * side / 64
            voxels = grid[torch.from_numpy(shell)].to(torch.uint8)
            fine.setdefault(i, fine_cube(voxels))
            results.append(voxels)
        return results

    return complete


def test_a_released_checkpoint_in_half_precision_pt_files_gives_the_same(tiny_checkpoint, scene, tmp_path) -> None:
    from tiny_pipeline import TITLE, as_half_precision_pt

    folder = shutil.copytree(tiny_checkpoint, tmp_path / "released")
    as_half_precision_pt(folder)
    assert not list(folder.glob("ckpts/*.safetensors"))
    released = FixerPipeline.from_pretrained(folder, device="cpu")
    result = run(released, scene, instances=[4], settings=Settings(gaussians=False))
    assert result[4].outcome == "completed"
    assert result.checkpoint == TITLE


def test_missing_networks_and_official_encoders_without_weights_are_told(tiny_checkpoint, tmp_path) -> None:
    broken = shutil.copytree(tiny_checkpoint, tmp_path / "broken")
    (broken / "ckpts" / "slat_flow_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="slat_flow_model"):
        FixerPipeline.from_pretrained(broken)
    official = shutil.copytree(tiny_checkpoint, tmp_path / "official")
    config = official / "pipeline.json"
    config.write_text(config.read_text().replace('"encoders"', '"unused"'))
    with pytest.raises(CheckpointError, match="dinov2_vitl14_reg"):
        FixerPipeline.from_pretrained(official)


def test_another_image_size_of_the_encoders_is_taken_from_the_checkpoint(pipe) -> None:
    assert pipe.networks.encoders.sizes.image_px == 64
    assert pipe.networks.samplers.coarse.steps == 2


def test_inputs_that_do_not_fit_are_refused(pipe, scene) -> None:
    with pytest.raises(UsageError, match="no instance 77"):
        run(pipe, scene, instances=[77])
    with pytest.raises(UsageError, match="mask of instance 1"):
        run(pipe, scene, masks={1: np.ones((4, 4), bool)})
    with pytest.raises(UsageError, match="depth ratio"):
        run(pipe, scene, depth_ratio=2.0)
    with pytest.raises(UsageError, match="make them equal"):
        pipe(scene.rgb_HW3, scene.ids_HW, scene.depth_HW[:9], scene.camera)
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no CUDA"):
            FixerPipeline.from_pretrained("nowhere", device="cuda")


def test_progress_counts_the_steps_of_every_stage(pipe, scene) -> None:
    said = []
    run(pipe, scene, instances=[1], settings=Settings(gaussians=False), on_progress=said.append)
    assert [p.step for p in said] == [
        "observe",
        "encode",
        "coarse",
        "coarse",
        "fine",
        "fine",
        "texture",
        "texture",
        "mesh",
    ]


def test_batches_keep_within_the_budget_and_take_one_item_at_least() -> None:
    sizes = []

    def run(some):
        sizes.append(len(some))
        return [10 * item for item in some]

    assert in_batches([1, 2, 3, 9, 1], lambda item: item, MemoryBudget(5), run) == [10, 20, 30, 90, 10]
    assert sizes == [2, 1, 1, 1]


def test_a_batch_that_does_not_fit_is_halved_and_one_that_never_fits_fails_alone() -> None:
    sizes = []

    def run(some):
        sizes.append(len(some))
        if len(some) > 2 or 7 in some:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return list(some)

    results = in_batches([1, 2, 3, 7, 4], lambda item: 1, MemoryBudget(100), run)
    assert [r for r in results if not isinstance(r, OutOfMemory)] == [1, 2, 3, 4]
    assert isinstance(results[3], OutOfMemory)
    assert sizes[:3] == [5, 2, 2]


def test_official_encoders_are_refused_for_a_checkpoint_of_others(tiny_checkpoint, tmp_path) -> None:
    other = shutil.copytree(tiny_checkpoint, tmp_path / "other")
    description = other / "ckpts" / "sparse_structure_flow_model.json"
    assert "cond_channels" in description.read_text()
    config = other / "pipeline.json"
    config.write_text(config.read_text().replace("efficientnet_lite0", "dinov9"))
    with pytest.raises(PipelineError, match="unknown image encoders 'dinov9'"):
        FixerPipeline.from_pretrained(other)
