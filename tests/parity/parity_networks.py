"""Runs the networks of a fixture on its inputs; every output is named as in the fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from parity_fixtures import Fixture
from torch import Tensor, nn

from models.compat import OFFICIAL
from models.completer import CompleterCondition, StructureCompleter
from models.dinov2 import DinoVisionTransformer
from models.execution import Execution
from models.gaussian_decoder import GaussianDecoder, Gaussians
from models.layers.norms import layer_norm_32
from models.mesh_decoder import MeshDecoder
from models.moge import MogeConfig
from models.point_map_camera import metric_geometry
from models.registry import build, entry
from models.slat_flow import SLatFlow
from models.sparse.voxels import SparseTensor
from models.structure_flow import SparseStructureFlow
from models.texturer import Texturer, TexturerCondition

Outputs = dict[str, Any]
EXECUTION = Execution(sparse_conv="reference")


def network(fixture: Fixture) -> nn.Module:
    """The fixture's main network with its weights, in eval mode."""
    if fixture.cls == "MoGeModel":
        backbone = entry("DinoVisionTransformer").config(fixture.meta["backbone_kwargs"])
        model = entry(fixture.cls).network(MogeConfig.from_official(fixture.kwargs, backbone))
    else:
        model = build(fixture.cls, fixture.kwargs, EXECUTION, OFFICIAL)
    return _loaded(model, fixture.part("state"))


def frozen_network(fixture: Fixture) -> nn.Module:
    model = build(fixture.meta["frozen_cls"], fixture.meta["frozen_kwargs"], EXECUTION, OFFICIAL)
    return _loaded(model, fixture.part("frozen_state"))


def _loaded(model: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    buffers = {name for name, _ in model.named_buffers()}
    found = model.load_state_dict(state, strict=False)
    assert not found.unexpected_keys, found.unexpected_keys
    assert set(found.missing_keys) <= buffers, found.missing_keys
    return model.eval()


@contextmanager
def recorded(**modules: nn.Module) -> Iterator[dict[str, Any]]:
    """The outputs of modules during a forward pass, by name (the first call of each)."""
    outputs: dict[str, Any] = {}
    handles = [
        module.register_forward_hook(lambda _m, _i, out, name=name: outputs.setdefault(name, out))
        for name, module in modules.items()
    ]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def sparse(fixture: Fixture, feats: Tensor, batch_size: int | None = None) -> SparseTensor:
    return SparseTensor.from_coords(feats, fixture.inputs["coords"], batch_size)


def structure_encoder(fixture: Fixture) -> Outputs:
    mean, logvar = network(fixture)(fixture.inputs["occ"])
    return {"mean": mean, "logvar": logvar}


def structure_decoder(fixture: Fixture) -> Outputs:
    return {"logits": network(fixture)(fixture.inputs["z"])}


def structure_flow(fixture: Fixture) -> Outputs:
    model: SparseStructureFlow = network(fixture)
    given = fixture.inputs
    with recorded(first_block=model.blocks[0]) as seen:
        v = model(given["x"], given["t"], given["cond"])
    return {"v": v, "t_embed": model.t_embedder(given["t"]), **seen}


def completer_condition(fixture: Fixture) -> CompleterCondition:
    given = fixture.part("in.cond")
    return CompleterCondition(
        scene_BMC=given["cond_scene"],
        instance_BMC=given["cond_instance"],
        instance_masked_BMC=given["cond_instance_masked"],
        partial_latent_BCRRR=given["cond_partial_vox"],
        partial_mask_B64RRR=given["cond_partial_vox_mask"],
        clean_instance_BMC=given.get("std_cond_instance"),
    )


def completer(fixture: Fixture) -> Outputs:
    model: StructureCompleter = network(fixture)
    base: SparseStructureFlow = frozen_network(fixture)
    given, cond = fixture.inputs, completer_condition(fixture)
    with recorded(first_frozen_block=base.blocks[0], first_ctrl_block=model.blocks[0]) as seen:
        infer = model(given["x"], given["t"], cond, given["est_depth_ratio"], base)
    train, align = model.forward_with_alignment(given["x"], given["t"], cond, given["est_depth_ratio"], base)
    return {
        "train": train,
        "align_loss": align,
        "infer": infer,
        "infer_neg": model(given["x"], given["t"], cond.zeroed(), given["est_depth_ratio"], base),
        "frozen_only": base(given["x"], given["t"], cond.instance_masked_BMC),
        **seen,
    }


def slat_flow(fixture: Fixture) -> Outputs:
    model: SLatFlow = network(fixture)
    given = fixture.inputs
    watched = {f"block{i}": block for i, block in enumerate(model.blocks)}
    watched |= {f"in_block{i}": block for i, block in enumerate(model.input_blocks)}
    watched |= {f"out_block{i}": block for i, block in enumerate(model.out_blocks)}
    if model.input_blocks:
        watched["in_block_last"] = model.input_blocks[-1]
    with recorded(**watched) as seen:
        v = model(sparse(fixture, given["feats"], len(given["t"])), given["t"], given["cond"])
    outputs = {name: out.feats if isinstance(out, SparseTensor) else out for name, out in seen.items()}
    if "in_block_last" in seen:
        outputs["in_block_last_coords"] = seen["in_block_last"].coords
    return {"v": v.feats, **outputs}


def texturer_condition(fixture: Fixture) -> TexturerCondition:
    given = fixture.part("in.cond")
    return TexturerCondition(
        scene_BTC=given["cond_scene"],
        instance_BTC=given["cond_instance"],
        instance_masked_BTC=given["cond_instance_masked"],
        voxel_feats_NF=fixture.inputs["cond_voxel_feats"],
        clean_instance_BTC=given.get("std_cond_instance"),
    )


def texturer(fixture: Fixture) -> Outputs:
    model: Texturer = network(fixture)
    base: SLatFlow = frozen_network(fixture)
    given, cond = fixture.inputs, texturer_condition(fixture)
    x, t, ratio = sparse(fixture, given["x_feats"], len(given["t"])), given["t"], given["vis_ratio"]
    train, align = model.forward_with_alignment(x, t, cond, ratio, base)
    negative = cond.zeroed()
    plain = base(x, t, cond.clean_instance_BTC).feats
    return {
        "train": train.feats,
        "align_loss": align.mean(),
        "infer": model(x, t, cond, ratio, base).feats,
        "infer_neg": model(x, t, negative, ratio, base).feats,
        "infer_neg_skip": model.forward_without_control(x, t, negative.instance_masked_BTC, base).feats,
        "infer_std": plain,
        "frozen_only_std": plain,
    }


def slat_encoder(fixture: Fixture) -> Outputs:
    model = network(fixture)
    with recorded(**{f"block{i}": block for i, block in enumerate(model.blocks)}) as seen:
        mean, logvar = model(sparse(fixture, fixture.inputs["feats"]))
    return {"mean": mean, "logvar": logvar, **seen}


def gaussian_outputs(g: Gaussians) -> Outputs:
    return {
        "_xyz": g.raw_xyz_G3,
        "_features_dc": g.raw_features_G13,
        "_scaling": g.raw_scaling_G3,
        "_rotation": g.raw_rotation_G4,
        "_opacity": g.raw_opacity_G1,
        "xyz": g.xyz_G3,
        "scaling": g.scaling_G3,
        "rotation": g.rotation_G4,
        "opacity": g.opacity_G1,
        "covariance": g.covariance_G6,
    }


def gaussian_decoder(fixture: Fixture) -> Outputs:
    model: GaussianDecoder = network(fixture)
    raw = model.raw(sparse(fixture, fixture.inputs["feats"]))
    outputs: Outputs = {"raw": raw.feats}
    for i, gaussians in enumerate(model.assemble(raw)):
        outputs |= {f"g{i}.{name}": value for name, value in gaussian_outputs(gaussians).items()}
    return outputs


def radiance_decoder(fixture: Fixture) -> Outputs:
    model = network(fixture)
    raw = model.raw(sparse(fixture, fixture.inputs["feats"]))
    outputs: Outputs = {"raw": raw.feats}
    for i, field in enumerate(model.assemble(raw)):
        outputs |= {
            f"r{i}.position": field.position_n3,
            f"r{i}.depth": field.depth_n1,
            f"r{i}.trivec": field.trivec_nR3D,
            f"r{i}.density": field.density_nR,
            f"r{i}.features_dc": field.features_nR13,
        }
    return outputs


def mesh_decoder(fixture: Fixture) -> Outputs:
    """Meshes are returned whole, as "m0", "m1", ..."""
    model: MeshDecoder = network(fixture)
    with recorded(**{f"u{i}": block for i, block in enumerate(model.upsample)}) as seen:
        raw = model.raw(sparse(fixture, fixture.inputs["feats"]))
    outputs: Outputs = {"raw": raw.feats}
    for name, out in seen.items():
        outputs |= {f"{name}_coords": out.coords, f"{name}_feats": out.feats}
    return outputs | {f"m{i}": mesh for i, mesh in enumerate(model.extract(raw))}


def dino(fixture: Fixture) -> Outputs:
    model: DinoVisionTransformer = network(fixture)
    x = fixture.inputs["x"]
    tokens = model(x)
    last = model.config.depth - 1
    layers = model.intermediate(x, (0, last))
    patch = model.config.patch_size
    outputs = {
        "x_prenorm": tokens.before_norm_BTC,
        "x_norm_clstoken": tokens.class_BC,
        "x_norm_patchtokens": tokens.patches_BPC,
        "cond_tokens": layer_norm_32(tokens.before_norm_BTC),
        "pos_embed_used": model.position_embedding(x.shape[2] // patch, x.shape[3] // patch),
    }
    if model.config.num_register_tokens:
        outputs["x_norm_regtokens"] = tokens.registers
    for i, layer in enumerate(layers):
        outputs |= {f"inter{i}": layer.patches_BPC, f"inter{i}_cls": layer.class_BC}
    return outputs


def moge(fixture: Fixture) -> Outputs:
    model = network(fixture)
    image, num_tokens = fixture.inputs["image"], fixture.meta["num_tokens"]
    with recorded(encoder=model.encoder) as seen:
        out = model(image, num_tokens)
    levels, _ = model.features(image, num_tokens)
    outputs = {
        "forward.points": out.points_BHW3,
        "forward.normal": out.normal_BHW3,
        "forward.mask": out.mask_BHW,
        "forward.metric_scale": out.metric_scale_B,
        "enc_features": seen["encoder"][0],
        "enc_cls": seen["encoder"][1],
        **{f"neck{i}": level for i, level in enumerate(levels)},
    }
    model.load_state_dict({**model.state_dict(), **fixture.part("in.override")})
    out = model(image, num_tokens)
    found = metric_geometry(out)
    raw = metric_geometry(out, fov_x_rad=torch.pi * 50 / 180, apply_mask=False, force_projection=False)
    return outputs | {
        "infer.points": found.points_BHW3,
        "infer.intrinsics": found.K_norm_B33,
        "infer.depth": found.depth_BHW,
        "infer.mask": found.mask_BHW,
        "infer.normal": found.normal_BHW3,
        "infer.metric_scale": out.metric_scale_B,
        "infer_fov50_raw.points": raw.points_BHW3,
        "infer_fov50_raw.depth": raw.depth_BHW,
        "infer_fov50_raw.intrinsics": raw.K_norm_B33,
    }


RUNNERS: dict[str, Callable[[Fixture], Outputs]] = {
    "SparseStructureEncoder": structure_encoder,
    "SparseStructureDecoder": structure_decoder,
    "SparseStructureFlowModel": structure_flow,
    "SceneSparseStructureFlowModule": completer,
    "SLatFlowModel": slat_flow,
    "SceneSLatFlowModel": texturer,
    "SLatEncoder": slat_encoder,
    "SLatGaussianDecoder": gaussian_decoder,
    "SLatRadianceFieldDecoder": radiance_decoder,
    "SLatMeshDecoder": mesh_decoder,
    "DinoVisionTransformer": dino,
    "MoGeModel": moge,
}
