"""The rasterisers in plain PyTorch against loops over primitives: same picture, same gradients, one run.

python tests/benchmarks/rendering.py [--repeats 3] [--out tests/benchmarks/results/rendering.json]

Times are CPU seconds of one thread (best of the repeats, the ways taking turns), so that a busy machine does not
distort them. A ratio above 1 says how many times as fast ours is.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))

from pipelines.rendering import Splats, View, render_mesh, render_splats
from pipelines.rendering.orbit import orbit_views
from pipelines.rendering.splats_reference import MIN_ALPHA, project_splats


def shell(count: int) -> Splats:
    """Opaque Gaussians on a sphere, as a trained decoder leaves them: most are hidden."""
    g = torch.Generator().manual_seed(0)
    direction = torch.nn.functional.normalize(torch.randn(count, 3, generator=g), dim=1)
    return Splats(
        xyz_G3=direction * 0.4,
        scaling_G3=0.006 + 0.006 * torch.rand(count, 3, generator=g),
        rotation_G4=torch.nn.functional.normalize(torch.randn(count, 4, generator=g), dim=1),
        opacity_G=0.3 + 0.6 * torch.rand(count, generator=g),
        colour_G3=torch.rand(count, 3, generator=g),
    )


def ball(rings: int) -> tuple[Tensor, Tensor]:
    u, v = torch.meshgrid(
        torch.arange(2 * rings) * (math.pi / rings), torch.linspace(0, math.pi, rings + 1), indexing="ij"
    )
    points = 0.4 * torch.stack([v.cos(), v.sin() * u.cos(), v.sin() * u.sin()], dim=-1)
    number = torch.arange(u.numel()).view(u.shape)
    a, b = number[:, :-1], number[:, 1:]
    c, d = b.roll(-1, 0), a.roll(-1, 0)
    faces = torch.cat([torch.stack([a, b, c], -1).view(-1, 3), torch.stack([a, c, d], -1).view(-1, 3)])
    return points.view(-1, 3), faces


def splats_one_by_one(splats: Splats, view: View) -> Tensor:
    """[3, H, W]: every Gaussian over its box of pixels, front to back."""
    seen, (width, height) = project_splats(splats, view), view.size_px
    boxes = seen.boxes(view.size_px, view.near)
    colour, through = torch.zeros(3, height, width), torch.ones(height, width)
    for i in seen.depth_G.argsort().tolist():
        x0, x1, y0, y1 = (int(side[i]) for side in (boxes.x0_G, boxes.x1_G, boxes.y0_G, boxes.y1_G))
        if x0 == x1 or y0 == y1:
            continue
        dx = seen.xy_G2[i, 0] - (torch.arange(x0, x1) + 0.5)
        dy = seen.xy_G2[i, 1] - (torch.arange(y0, y1) + 0.5)[:, None]
        xx, xy, yy = seen.conic_G3[i]
        alpha = (seen.opacity_G[i] * (-0.5 * (xx * dx**2 + yy * dy**2) - xy * dx * dy).exp()).clamp(max=0.999)
        alpha, box = alpha.where(alpha >= MIN_ALPHA, 0.0), (slice(y0, y1), slice(x0, x1))
        in_front = through[box].clone()  # autograd must keep what was there
        colour[(slice(None), *box)] += in_front * alpha * splats.colour_G3[i][:, None, None]
        through[box] = in_front * (1 - alpha)
    return colour


def faces_one_by_one(vertices: Tensor, faces: Tensor, view: View) -> Tensor:
    """[H, W] depth: every face over its box of pixels, into a z-buffer."""
    width, height = view.size_px
    K, camera = view.K_px.float(), view.to_camera(vertices)
    depth = torch.full((height, width), torch.inf)
    for corners in camera[faces]:
        xy = corners[:, :2] / corners[:, 2:] * K.diagonal()[:2] + K[:2, 2]
        (x0, y0), (x1, y1) = (xy.amin(0) - 0.5).ceil().int().tolist(), ((xy.amax(0) - 0.5).floor() + 1).int().tolist()
        x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
        if x0 >= x1 or y0 >= y1:
            continue
        y, x = torch.meshgrid(torch.arange(y0, y1) + 0.5, torch.arange(x0, x1) + 0.5, indexing="ij")
        ray = torch.stack([(x - K[0, 2]) / K[0, 0], (y - K[1, 2]) / K[1, 1]], dim=-1)
        a, b = (corners[:, None, None, :2] - ray * corners[:, None, None, 2:]).unbind(-1)
        weight = a.roll(-1, 0) * b.roll(-2, 0) - a.roll(-2, 0) * b.roll(-1, 0)
        share = weight / weight.sum(0)
        z = (share * corners[:, 2, None, None]).sum(0)
        box = (slice(y0, y1), slice(x0, x1))
        depth[box] = torch.minimum(depth[box], z.where((share >= 0).all(0), torch.inf))
    return depth


def best_of(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """CPU seconds by way; all ways once around before the next repeat."""
    best = dict.fromkeys(ways, math.inf)
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.process_time()
            way()
            best[name] = min(best[name], time.process_time() - start)
    return {name: round(seconds, 4) for name, seconds in best.items()}


def measured_splats(count: int, size: int, repeats: int, loop: bool) -> dict[str, object]:
    splats, view = shell(count), orbit_views(1, (size, size))[0]
    leaves = [splats.xyz_G3, splats.scaling_G3, splats.opacity_G, splats.colour_G3]

    def forward_and_backward(draw: Callable[[Splats, View], Tensor]) -> Tensor:
        for leaf in leaves:
            leaf.requires_grad_().grad = None
        image = draw(splats, view)
        image.square().sum().backward()
        return image.detach()

    def ours(splats: Splats, view: View) -> Tensor:
        return render_splats(splats, view).colour_3HW

    ways: dict[str, Callable[[], object]] = {"ours": lambda: forward_and_backward(ours)}
    result: dict[str, object] = {"Gaussians": count, "pixels": size**2}
    if loop:
        ways["loop over Gaussians"] = lambda: forward_and_backward(splats_one_by_one)
        difference = (forward_and_backward(ours) - forward_and_backward(splats_one_by_one)).abs().max()
        result["largest difference of a value"] = float(difference)
    result |= best_of(ways, repeats)
    return result


def measured_mesh(rings: int, size: int, repeats: int, loop: bool) -> dict[str, object]:
    (vertices, faces), view = ball(rings), orbit_views(1, (size, size))[0]

    def forward_and_backward() -> Tensor:
        render = render_mesh(vertices.requires_grad_(), faces, view, vertices)
        assert render.attributes_AHW is not None
        (render.mask_HW.sum() + render.attributes_AHW.square().sum() + render.depth_HW.nansum()).backward()
        return render.depth_HW.detach()

    def depth_alone() -> Tensor:
        with torch.no_grad():
            return render_mesh(vertices, faces, view).depth_HW

    ways: dict[str, Callable[[], object]] = {"ours, with gradients": forward_and_backward, "ours, forward": depth_alone}
    result: dict[str, object] = {"faces": len(faces), "pixels": size**2}
    if loop:

        def one_by_one() -> Tensor:
            with torch.no_grad():
                return faces_one_by_one(vertices, faces, view)

        ways["loop over faces, depth alone"] = one_by_one
        difference = (depth_alone().nan_to_num(nan=9.0) - one_by_one().nan_to_num(posinf=9.0)).abs()
        result["pixels that differ by more than 1e-4"] = int((difference > 1e-4).sum())
    result |= best_of(ways, repeats)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    repeats = options.repeats
    result = {
        "command": "python " + " ".join(sys.argv),
        "hardware": f"{platform.machine()}, one CPU thread, PyTorch {torch.__version__}",
        "date": date.today().isoformat(),
        "unit": "CPU seconds",
        "Gaussians, forward and backward": [
            measured_splats(2_000, 64, repeats, loop=True),
            measured_splats(16_000, 64, repeats, loop=False),
            measured_splats(128_000, 128, repeats, loop=False),
        ],
        "mesh": [
            measured_mesh(24, 64, repeats, loop=True),
            measured_mesh(128, 128, repeats, loop=False),
            measured_mesh(256, 512, repeats, loop=False),
        ],
    }
    text = json.dumps(result, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
