"""What views show, with and without rejection, and what looking first costs.

    python tests/benchmarks/cameras.py --scenes 40

Shares of usable instance-views are over every placed object in every view, from ray casts at 128 px; components of
masks are counted at 1024 px in a few views of each scene, spread over all elevations. CPU seconds of one process.
"""

import argparse
import dataclasses
import json
import time
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from scenegen.assets.library import AssetLibrary
from scenegen.config import AssetsConfig, DatasetConfig
from scenegen.layout.facts import object_facts
from scenegen.layout.sampler import sample_scene
from scenegen.layout.spec import SceneSpec
from scenegen.layout.visibility import SceneCaster

RESULT = Path(__file__).parent / "results" / "cameras.json"
COARSE_PX = 128


def camera_figures(specs: list[SceneSpec]) -> dict[str, float]:
    positions = np.array([view.camera.matrix_world[:3, 3] for spec in specs for view in spec.views])
    radius = np.linalg.norm(positions, axis=1)
    elevation = np.degrees(np.arcsin(positions[:, 2] / radius))
    return {
        "elevation_deg_mean": round(float(elevation.mean()), 2),
        "elevation_deg_std": round(float(elevation.std()), 2),
        "radius_m_mean": round(float(radius.mean()), 3),
        "radius_m_median": round(float(np.median(radius)), 3),
        "radius_m_std": round(float(radius.std()), 3),
    }


def usable_figures(specs: list[SceneSpec], library: AssetLibrary, usable_share: float) -> dict[str, float]:
    shares, per_view, seconds, views = [], [], 0.0, 0
    for spec in specs:
        caster = SceneCaster.of(spec, library)
        last = max((o.instance_id for o in spec.objects), default=2)
        start = time.process_time()
        for view in spec.views:
            ids, _ = caster.view(view, (COARSE_PX, COARSE_PX))
            share = np.bincount(ids.ravel(), minlength=last + 1)[3:] / ids.size
            shares.append(share)
            per_view.append(int((share >= usable_share).sum()))
        seconds += time.process_time() - start
        views += len(spec.views)
    every = np.concatenate(shares)
    return {
        "instance_views": len(every),
        "usable_share": round(float((every >= usable_share).mean()), 4),
        "invisible_share": round(float((every == 0).mean()), 4),
        "usable_objects_a_view_mean": round(float(np.mean(per_view)), 2),
        "usable_objects_a_view_percentile_5": float(np.percentile(per_view, 5)),
        "views_with_fewer_than_3": round(float(np.mean(np.array(per_view) < 3)), 4),
        "cast_128px_cpu_ms_a_view": round(1e3 * seconds / views, 2),
    }


def mask_figures(specs: list[SceneSpec], library: AssetLibrary, views: int, usable_share: float) -> dict[str, float]:
    facts, cast_s, facts_s, count = [], 0.0, 0.0, 0
    for spec in specs:
        caster = SceneCaster.of(spec, library)
        # The views of a scene rise with their number: take some from everywhere.
        for index in [(spec.scene_index + n * len(spec.views) // views) % len(spec.views) for n in range(views)]:
            start = time.process_time()
            ids, _ = caster.view(spec.views[index])
            middle = time.process_time()
            facts += object_facts(spec, index, ids, caster)
            cast_s, facts_s, count = cast_s + middle - start, facts_s + time.process_time() - middle, count + 1
    usable_px = usable_share * specs[0].views[0].camera.size_px[0] ** 2
    usable = [fact for fact in facts if fact.visible_px >= usable_px]
    visible = [fact for fact in facts if fact.visible_px]
    many = {n: float(np.mean([fact.mask_components > n for fact in usable])) for n in (1, 4)}
    many_visible = {n: float(np.mean([fact.mask_components > n for fact in visible])) for n in (1, 4)}
    return {
        "views": count,
        "usable_masks": len(usable),
        "usable_share_at_1024": round(len(usable) / len(facts), 4),
        "more_than_1_component": round(many[1], 4),
        "more_than_4_components": round(many[4], 4),
        "all_visible_masks_more_than_1": round(many_visible[1], 4),
        "all_visible_masks_more_than_4": round(many_visible[4], 4),
        "occlusion_mean": round(float(np.mean([fact.occlusion for fact in usable])), 4),
        "truncated_share": round(float(np.mean([fact.truncation > 0 for fact in usable])), 4),
        "cast_1024px_cpu_s_a_view": round(cast_s / count, 3),
        "object_facts_1024px_cpu_s_a_view": round(facts_s / count, 3),
    }


def run(config: DatasetConfig, library: AssetLibrary, scenes: int, mask_views: int) -> dict[str, Any]:
    start = time.process_time()
    specs = [sample_scene(config, library, ("none",), (), index) for index in range(scenes)]
    seconds = time.process_time() - start
    rejected: Counter[str] = Counter()
    for spec in specs:
        rejected.update(dict(spec.stats.views_rejected))
    usable = config.visibility.usable_share
    return {
        "sample_scene_cpu_s": round(seconds / scenes, 3),
        "rejected_a_scene": {reason: round(count / scenes, 2) for reason, count in sorted(rejected.items())},
        "cameras": camera_figures(specs),
        "views": usable_figures(specs, library, usable),
        "masks": mask_figures(specs, library, mask_views, usable),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--mask-views", type=int, default=3)
    parser.add_argument("--store", default="starter")
    parser.add_argument("--split", default="all")
    arguments = parser.parse_args()
    from placement import hardware, load_all

    config = DatasetConfig(
        num_scenes=arguments.scenes, assets=AssetsConfig(objects=(arguments.store,), split=arguments.split)
    )
    library, _ = load_all(config.assets)
    unchecked = dataclasses.replace(config, visibility=dataclasses.replace(config.visibility, max_candidates=1))
    command = "python tests/benchmarks/cameras.py --scenes {} --mask-views {} --split {}"
    result = {
        "command": command.format(arguments.scenes, arguments.mask_views, arguments.split),
        "hardware": hardware(),
        "date": date.today().isoformat(),
        "without_rejection": run(unchecked, library, arguments.scenes, arguments.mask_views),
        "with_rejection": run(config, library, arguments.scenes, arguments.mask_views),
    }
    print(json.dumps(result, indent=1))
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
