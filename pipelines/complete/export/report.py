"""The report of a completion as JSON: what became of every instance, where it is, and how long it took.

`fixer-evaluate` reads the same file beside the objects: `format`, `system`, `axes` and `instances` are its keys.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pipelines.complete.results import Completion, InstanceCompletion

FORMAT = 1


def report_of(completion: Completion, inputs: dict[str, Any]) -> dict[str, Any]:
    """inputs: where image, masks, depth and camera came from. Matrices are lists of rows."""
    return {
        "format": FORMAT,
        "system": completion.checkpoint,
        "axes": "gltf",
        "depth": str(inputs.get("depth", "")),
        "depth_ratio": completion.depth_ratio,
        "seconds": round(sum(completion.seconds.values()), 4),
        "seed": completion.seed,
        "device": completion.device,
        "peak_bytes": completion.peak_bytes,
        "inputs": inputs,
        "camera": {
            "K_px": completion.camera.K_px.tolist(),
            "T_world_cam": completion.camera.T_world_cam.tolist(),
        },
        "samplers": asdict(completion.samplers),
        "seconds_by_step": {step: round(value, 4) for step, value in completion.seconds.items()},
        "instances": {str(one.instance_id): _instance(one) for one in completion.instances},
    }


def _instance(one: InstanceCompletion) -> dict[str, Any]:
    said: dict[str, Any] = {"outcome": one.outcome, "reason": one.reason, "seed": one.seed, "points": one.points}
    said["cut_by_border"] = one.cut_by_border
    for name, voxels in (("partial", one.partial_V3), ("coarse", one.coarse_V3), ("fine", one.fine_V3)):
        if voxels is not None:
            said[f"{name}_voxels"] = len(voxels)
    if one.visible_share is not None:
        said["visible_share"] = round(one.visible_share, 4)
    if one.coarse is not None:
        said["T_world_coarse"] = one.coarse.T_outer_cube.tolist()
    if one.coarse is not None and one.fine is not None:
        said["T_coarse_fine"] = one.fine.T_outer_cube.tolist()
        said["T_world_obj"] = one.T_world_obj.tolist()
    if one.mesh is not None:
        said |= {"vertices": len(one.mesh.vertices_V3), "faces": len(one.mesh.faces_F3)}
    if one.gaussians is not None:
        said["gaussians"] = len(one.gaussians.raw_xyz_G3)
    said["seconds"] = {step: round(value, 4) for step, value in one.seconds.items()}
    return said
