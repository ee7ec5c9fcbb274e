"""Runs the algorithms (what is not a network) of a fixture on its inputs; outputs are named as in the fixture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from parity_fixtures import Fixture
from parity_networks import (
    Outputs,
    completer_condition,
    frozen_network,
    network,
    texturer_condition,
)
from torch import Tensor

from models.compat import OFFICIAL
from models.completer import CompleterCondition
from models.dinov2 import normalise_image
from models.flexicubes.extraction import extract_mesh
from models.layers.embeddings import position_embedding, timestep_embedding
from models.layers.grids import patchify, pixel_shuffle_3d
from models.layers.norms import MultiHeadRMSNorm
from models.moge import view_plane_uv
from models.point_map_camera import recover_focal_shift
from models.sparse.conv import SparseConv3d
from models.sparse.norm import SparseGroupNorm32
from models.sparse.resample import downsample, subdivide, upsample
from models.sparse.voxels import SparseTensor, VoxelSet
from pipelines.cameras import Projection, pixel_rays_opengl, project
from pipelines.conditioning import encoder_images, structure_condition, texture_condition
from pipelines.depth_alignment import align_scale
from pipelines.flow_matching import FlowPath
from pipelines.frames import FOREGROUND, coarse_cube, euler_rotation, fine_cube
from pipelines.images import instance_crop, scene_image
from pipelines.masks import edge_mask, ellipse_kernel
from pipelines.samplers import SamplerConfig, SampleStep, Velocity, euler_steps
from pipelines.visibility import VoxelViews, visibility_ratio, voxel_features
from pipelines.voxelise import VoxelGrid, voxel_centres, voxelise


def primitives(fixture: Fixture) -> Outputs:
    given, state = fixture.inputs, fixture.part("state")
    x = SparseTensor.from_coords(given["feats"], given["coords"])
    weight = state["conv.conv.weight"]
    conv = SparseConv3d(weight.shape[-1], weight.shape[0], weight.shape[1], "reference")
    conv.load_state_dict({"conv.weight": weight, "conv.bias": state["conv.conv.bias"]})
    norm = SparseGroupNorm32(4, x.feats.shape[1])
    norm.load_state_dict({"weight": state["gn.weight"], "bias": state["gn.bias"]})
    rms = MultiHeadRMSNorm(*state["rms.gamma"].shape)
    rms.load_state_dict({"gamma": state["rms.gamma"]})
    q, k, v = given["qkv"].unbind(1)
    down = downsample(x)
    up = upsample(down, x.voxels)
    children = subdivide(x.replace(x.feats[:, : fixture.outputs["sub_feats"].shape[1]]))
    return {
        "timestep_256": timestep_embedding(given["t"], 256),
        "timestep_odd": timestep_embedding(given["t"], fixture.outputs["timestep_odd"].shape[1]),
        "ape_64": position_embedding(given["pos"], 64),
        "ape_96": position_embedding(given["pos"], 96),
        "patchify2": patchify(given["x5"], 2),
        "pixel_shuffle2": pixel_shuffle_3d(given["ps"], 2),
        "down_feats": down.feats,
        "down_coords": down.coords,
        "up_feats": up.feats,
        "up_coords": up.coords,
        "sub_feats": children.feats,
        "sub_coords": children.coords,
        "subm_conv": conv(x).feats,
        "group_norm": norm(x).feats,
        "window_id_shift0": window_labels(x.voxels, 8, 0),
        "window_id_shift4": window_labels(x.voxels, 8, 4),
        "win_attn_shift4": x.voxels.windows(8, 4).plan("bucketed", q.dtype).self_attention(q, k, v),
        "full_attn": x.voxels.items.plan("bucketed", q.dtype).self_attention(q, k, v),
        "rms_norm": rms(q),
    }


def window_labels(voxels: VoxelSet, window: int, shift: int) -> Tensor:
    segments = voxels.windows(window, shift)
    label = torch.arange(len(segments.lengths)).repeat_interleave(torch.tensor(segments.lengths))
    return label[segments.order_N.argsort()]


def flexicubes(fixture: Fixture) -> Outputs:
    """The meshes are returned whole, as "mesh" and "train_mesh"."""
    feats, cubes = fixture.inputs["feats"], fixture.inputs["coords"][:, 1:]
    res, use_color = fixture.kwargs["res"], fixture.kwargs["use_color"]
    trained = extract_mesh(feats, cubes, res, use_color, training=True)
    return {
        "mesh": extract_mesh(feats, cubes, res, use_color),
        "train_mesh": trained,
        "reg_loss": trained.training.reg_loss,
        "tsdf_v": trained.training.corner_V3,
        "tsdf_s": trained.training.sdf_V,
    }


def flow_matching(fixture: Fixture) -> Outputs:
    given = fixture.inputs
    path = FlowPath(**fixture.kwargs)
    t = path.times(given["normal_draw"])
    x_t = path.interpolate(given["x0"], given["noise"], t)
    v = path.velocity(given["x0"], given["noise"])
    return {"t": t, "x_t": x_t, "v": v, "x0_rec": path.data(x_t, v, t)}


def sampler_config(fixture: Fixture) -> SamplerConfig:
    k = fixture.kwargs
    return SamplerConfig(k["steps"], k["rescale_t"], k["cfg_strength"], tuple(k["cfg_interval"]), k["sigma_min"])


def run_sampler(
    velocity: Velocity, negative: Velocity | None, noise: Tensor, batch_size: int, config: SamplerConfig
) -> list[SampleStep]:
    return list(euler_steps(velocity, noise, batch_size, config, negative))


def sampler_euler(fixture: Fixture) -> Outputs:
    model, given, config = network(fixture.network_fixture()), fixture.inputs, sampler_config(fixture)
    noise, B = given["noise"], len(given["noise"])

    def conditioned(cond: Tensor) -> Velocity:
        return lambda x, t: model(x, t, cond.expand(B, -1, -1))

    positive, negative = conditioned(given["cond"]), conditioned(given["neg_cond"])
    guided = run_sampler(positive, negative, noise, B, config)
    everywhere = replace(config, rescale_t=1.0, guidance_interval=(0.0, 1.0))
    return {
        "t_seq": torch.from_numpy(config.times()),
        "interval.samples": guided[-1].x_t,
        "interval.pred_x_t": torch.stack([step.x_t for step in guided]),
        "interval.pred_x_0": torch.stack([step.x_0 for step in guided]),
        "cfg_norescale.samples": run_sampler(positive, negative, noise, B, everywhere)[-1].x_t,
        "nocfg.samples": run_sampler(positive, None, noise, B, replace(config, guidance=0.0))[-1].x_t,
    }


def sampler_scene(fixture: Fixture) -> Outputs:
    """The completer's and the texturer's samplers share a class name; their network tells them apart."""
    source = fixture.network_fixture()
    sample = sample_completer if source.cls == "SceneSparseStructureFlowModule" else sample_texturer
    return sample(fixture, source)


def sample_completer(fixture: Fixture, source: Fixture) -> Outputs:
    model, base, cond = network(source), frozen_network(source), completer_condition(source)
    noise, ratio = fixture.inputs["noise"], fixture.inputs["est_depth_ratio"]

    def conditioned(cond: CompleterCondition) -> Velocity:
        return lambda x, t: model(x, t, cond, ratio, base)

    steps = run_sampler(conditioned(cond), conditioned(cond.zeroed()), noise, len(noise), sampler_config(fixture))
    return {"samples": steps[-1].x_t, "pred_x_t": torch.stack([step.x_t for step in steps])}


def sample_texturer(fixture: Fixture, source: Fixture) -> Outputs:
    model, base, cond = network(source), frozen_network(source), texturer_condition(source)
    given = source.inputs
    B = len(given["t"])
    voxels = VoxelSet(given["coords"], B)
    negative = cond.zeroed()

    def positive_velocity(x: Tensor, t: Tensor) -> Tensor:
        return model(SparseTensor(x, voxels), t, cond, given["vis_ratio"], base).feats

    def full_negative(x: Tensor, t: Tensor) -> Tensor:
        return model(SparseTensor(x, voxels), t, negative, given["vis_ratio"], base).feats

    def cheap_negative(x: Tensor, t: Tensor) -> Tensor:
        return model.forward_without_control(SparseTensor(x, voxels), t, negative.instance_masked_BTC, base).feats

    outputs: Outputs = {}
    for name, velocity in (("full_neg", full_negative), ("skip_neg", cheap_negative)):
        last = run_sampler(positive_velocity, velocity, fixture.inputs["noise"], B, sampler_config(fixture))[-1]
        outputs |= {f"{name}.samples": last.x_t, f"{name}.last_x0": last.x_0}
    return outputs


def folded_index_and_value(grid: VoxelGrid) -> tuple[Tensor, Tensor]:
    folded = grid.folded_confidence()
    index = folded.nonzero()
    return index, folded[index.unbind(1)]


def geometry(fixture: Fixture) -> Outputs:
    given, R = fixture.inputs, fixture.kwargs["resolution"]
    points = given["points"]
    grid = voxelise(points, given["weights"], R)
    mask_index, mask_value = folded_index_and_value(grid)
    low, high = points.aminmax(dim=0)
    scale = (high - low).max() * 2  # the coarse stage's margin
    centre = (low + high) / 2
    origin, direction = pixel_rays_opengl(given["px_i"], given["px_j"], given["K"], given["c2w"])
    aligned, s = align_scale(given["est_depth"], given["gt_depth"], given["depth_mask"])
    edge = edge_mask(given["inst_mask"])
    return {
        "occ_coords": grid.index_V3,
        "mask_index": mask_index,
        "mask_value": mask_value,
        "mask_noweights_index": folded_index_and_value(voxelise(points, None, R))[0],
        "rotated": points @ euler_rotation(given["angles_zyx"]).T,
        "norm_vertices": (points - centre) / (scale + 1e-6),
        "norm_trans": centre[None],
        "norm_scale": scale[None],
        "rays_o": origin,
        "rays_d": direction,
        "aligned_depth": aligned,
        "lstsq_scale": s,
        "ellipse_kernel": ellipse_kernel(7),
        "edge_mask": edge,
        "fg_mask": given["inst_mask"].bool() & ~edge,
    }


def image_preparation(fixture: Fixture) -> Outputs:
    given, size = fixture.inputs, fixture.kwargs["image_size"]
    image, mask = given["rgba"].numpy(), given["inst_mask"].numpy()
    scene, crop = scene_image(image, mask, size), instance_crop(image, mask, size)
    row, column = given["color_mask"].nonzero(as_tuple=True)
    return {
        "scene_image": scene[:3],
        "scene_rgba": scene,
        "instance_image": crop[:3],
        "instance_alpha": crop[3:],
        "instance_image_rgb": crop[:3],
        "instance_alpha_rgb": crop[3:],
        "rays_d": pixel_rays_opengl(column, row, given["K"], given["c2w"])[1],
        "rays_t": given["depth"][row, column],
        "rays_w": given["color_mask"][row, column],
    }


def structure_conditioning(fixture: Fixture) -> Outputs:
    given = fixture.inputs
    cond = structure_condition(
        given["dino_prenorm"], given["moge_tokens0"], given["partial_latent"], given["partial_mask"]
    )
    return {
        "dino_input": normalise_image(encoder_images(given["instance_rgba"], given["scene_rgba"])),
        "cond_scene": cond.scene_BMC,
        "cond_instance": cond.instance_BMC,
        "cond_instance_masked": cond.instance_masked_BMC,
    }


def texture_conditioning(fixture: Fixture) -> Outputs:
    given = fixture.inputs
    images = normalise_image(encoder_images(given["instance_rgba"], given["scene_rgba"])).chunk(4)
    B, batch = len(given["scene_rgba"]), given["coords"][:, 0]
    views = VoxelViews([Projection(given["uv"][batch == b], torch.zeros_like(batch[batch == b])) for b in range(B)])
    features = voxel_features(given["moge_last"], views, OFFICIAL)
    names = ("masked", "instance", "instance_mask", "scene_mask")
    dino_tokens = torch.cat([given[f"dino_prenorm_{name}"] for name in names])
    cond = texture_condition(dino_tokens, given["moge_last"], features)
    return {
        "dino_input_masked": images[0],
        "dino_input_scene_mask": images[3],
        "vis_ratio": visibility_ratio(given["scene_rgba"][:, 3], views, OFFICIAL),
        "cond_scene": cond.scene_BTC,
        "cond_instance": cond.instance_BTC,
        "cond_instance_masked": cond.instance_masked_BTC,
        "cond_voxel_feats": cond.voxel_feats_NF,
    }


def pipeline_geometry(fixture: Fixture) -> Outputs:
    given, R = fixture.inputs, fixture.kwargs["resolution"]
    points, weight = given["points"], given["points_mask"]
    clear = weight > FOREGROUND
    coarse, fine = coarse_cube(points, weight), fine_cube(given["coarse_occ"], R)
    centres = coarse.to_outer(fine.to_outer(voxel_centres(given["fine_coords"][:, 1:], R)))
    uv = project(centres.float(), given["extrinsics_c2w_cv"], given["intrinsics_norm"]).uv_P2
    coarse_grid = voxelise(coarse.from_outer(points[clear]), weight[clear], R)
    inner = fine.from_outer(coarse.from_outer(points))
    fine_grid = voxelise(inner[clear], weight[clear], R, clip=True)
    fine_grid_all = voxelise(inner, weight, R, clip=True)  # the batched pipeline keeps the mask's edge here
    cubes = {
        "coarse_trans": coarse.centre_3,
        "coarse_scale": coarse.side[None],
        "fine_trans": fine.centre_3,
        "fine_scale": fine.side[None],
        "coarse_partial_occ": coarse_grid.index_V3,
        "uv": uv,
    }
    outputs = {**cubes, **{f"parallel.{name}": value for name, value in cubes.items()}}
    outputs |= {"slat_coords": given["fine_coords"]}
    outputs |= {"fine_partial_occ": fine_grid.index_V3, "parallel.fine_partial_occ": fine_grid_all.index_V3}
    for name, grid in (("coarse", coarse_grid), ("fine", fine_grid), ("parallel.fine", fine_grid_all)):
        outputs[f"{name}_mask_index"], outputs[f"{name}_mask_value"] = folded_index_and_value(grid)
    return outputs


def focal_shift(fixture: Fixture) -> Outputs:
    given, size = fixture.inputs, tuple(fixture.kwargs["downsample_size"])
    points = given["points"]
    masked = recover_focal_shift(points, given["mask"], solver_size=size)
    free = recover_focal_shift(points, solver_size=size)
    # with a known focal length the reference ran on the mask, too
    known = recover_focal_shift(points, given["mask"], given["focal_known"], size)
    H, W = points.shape[1:3]
    return {
        "focal_masked": masked.focal_B,
        "shift_masked": masked.shift_B,
        "focal": free.focal_B,
        "shift": free.shift_B,
        "shift_known_focal": known.shift_B,
        "view_plane_uv": view_plane_uv(W, H, W / H),
    }


RUNNERS: dict[str, Callable[[Fixture], Outputs]] = {
    "building blocks": primitives,
    "SparseFeatures2Mesh": flexicubes,
    "flow matching": flow_matching,
    "geometry helpers": geometry,
    "image preparation": image_preparation,
    "SS conditioning assembly": structure_conditioning,
    "SLat conditioning assembly": texture_conditioning,
    "coarse->fine geometry of the pipeline": pipeline_geometry,
    "recover_focal_shift": focal_shift,
}


def sampler(fixture: Fixture) -> Outputs:
    plain = fixture.network_fixture().cls == "SparseStructureFlowModel"
    return sampler_euler(fixture) if plain else sampler_scene(fixture)


RUNNERS["FlowEulerGuidanceIntervalSampler"] = sampler
