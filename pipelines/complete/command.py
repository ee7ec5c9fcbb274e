"""The options of `fixer-complete`, and what it does with them. Its help loads neither torch nor networks."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import tyro

from pipelines.complete.inputs.depth_units import parse_unit
from pipelines.complete.inputs.weights import checkpoint_or_packaged, encoder_files
from pipelines.errors import EXIT_DONE, EXIT_ERROR, UsageError
from scenegen.contract.help_page import MAIN, HelpGroups

if TYPE_CHECKING:
    from pipelines.complete.compute_device import ComputeDevice
    from pipelines.complete.export.appearance import ColourSource
    from pipelines.complete.export.outputs import OutputFiles
    from pipelines.complete.inputs.scene_inputs import SceneInputs
    from pipelines.complete.pipeline import FixerPipeline
    from pipelines.complete.settings import Settings

MISSING = "fixer-complete needs an image (--image and --masks) or a row of a dataset (--shards and --view)"


@dataclass(frozen=True)
class CompleteCommand:
    """One image with instance masks in, a 3D scene of complete objects out.

    With --serve a web page instead; `fixer-complete --serve --help` says how.
    """

    out: Path
    """The scene, a GLB with a node per instance."""
    checkpoint: str | None = None
    """Folder or owner/repo on the hub with a pipeline.json: a run's `pipeline/`, or the released checkpoint. Default:
    the small model that comes with this package, which is not the released one."""
    image: Path | None = None
    """Picture to complete."""
    masks: Path | None = None
    """Image of ids or colours (not JPEG), folder with a mask per instance, or COCO JSON. May be of another size."""
    depth: str = ""
    """moge2, depth_pro or vggt, or a file (.npy, .npz, .exr, .tiff, .pfm, 16-bit .png); with --shards gt or an
    estimator of its sidecars. Default: moge2 for an image, gt for a row."""
    depth_weights: Path | None = None
    """Weights of that estimator, a file or folder. Default: moge2 of --encoder-weights, else the Hugging Face cache."""
    depth_unit_m: Annotated[str | None, tyro.conf.arg(metavar="M|NAME")] = None
    """What a value of 1 in the depth file means: metres, as 0.001, or m, cm, mm, scannet, tum, kitti, sunrgbd. Default:
    decided from the values, and said."""
    depth_along_ray: bool = False
    """The depth file holds distances from the camera, not depth along its axis."""
    camera: Path | None = None
    """JSON with intrinsics and, if it is known, the pose. Default: MoGe-2's focal length, a level camera."""
    fov_deg: float | None = None
    """Horizontal field of view, instead of --camera."""
    shards: str | None = None
    """Dataset to take image, masks, depth and camera from."""
    view: int | None = None
    """Number of the view in --shards."""
    instances: Annotated[tuple[int, ...], tyro.conf.arg(metavar="ID ID ...")] = ()
    """Ids to complete. Default: all."""
    split_components: bool = False
    """Of a single mask, complete each part that touches no other as an object of its own; specks are left out."""
    splats: Path | None = None
    """Also the Gaussians of all instances, as a PLY for splat viewers."""
    objects_dir: Path | None = None
    """Also one GLB per instance, ID.glb."""
    picture: Path | None = None
    """Also a PNG: the image, and the completed objects from its camera and from the side."""
    report: Path | None = None
    """Also a JSON report: outcomes, transforms, timings, seeds."""
    colours: Literal["mesh", "image", "gaussians"] | None = None
    """Whose colours the surface gets: the mesh decoder's, those that the image shows nearest to it, or the Gaussians'.
    Default: the checkpoint's choice, mesh officially."""
    texture: int | None = None
    """Bake textures of this edge (512, 1024, ...) instead of vertex colours. Needs the `export` extra."""
    max_faces: int | None = None
    """Simplify every mesh to so many faces. Default: all there are; 20000 with --texture. Needs the `export` extra."""
    carve: bool | None = None
    """Take away what would hide something that the image sees, and crumbs that float beside an object. Default: the
    checkpoint's choice, officially not."""
    thin: bool | None = None
    """Of walls that come out several voxels thick keep the middle, and smooth the mesh. Default: the checkpoint's
    choice, officially not."""
    clean: bool = True
    """Take away what cannot be seen of a mesh from outside, and close small holes."""
    alpha: float | None = None
    """How much of the depth is estimated. Default: 1, or 0 for gt."""
    seed: int = 0
    """Of the noise."""
    steps: int | None = None
    """Sampler steps of every stage. Default: the checkpoint's (25 officially)."""
    guidance: float | None = None
    """Strength of guidance, 0 for none. Default: the checkpoint's (5)."""
    guidance_interval: tuple[float, float] | None = None
    """Times at which guidance acts. Default: the checkpoint's (0.5 1)."""
    rescale_t: float | None = None
    """Above 1, more of the steps are spent at noisy times. Default: the checkpoint's (3)."""
    fit: Literal["letterbox", "squeeze"] = "letterbox"
    """How an image that is not square becomes one for the encoders: black bars, or squeezed."""
    encoder_weights: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=FILE ...")] = ()
    """Weights that are not in the checkpoint: dinov2=FILE moge2=FILE."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """auto is CUDA where there is one."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto is bf16 on CUDA."""
    memory_gb: float | None = None
    """For what grows with the instances computed at once. Default: most of the free memory of a GPU, 4 on the CPU."""
    offload: bool = False
    """Keep networks in main memory and move each to the GPU for its step."""
    official_behaviour: bool = False
    """Reproduce the released inference with its bugs (models/compat.py), for its numbers."""

    HELP_GROUPS: ClassVar[HelpGroups] = {
        MAIN: "image masks depth fov-deg out",
        "a row of a dataset instead of files": "shards view",
        "about the input": "instances split-components camera depth-weights depth-unit-m depth-along-ray alpha fit",
        "networks": "checkpoint encoder-weights official-behaviour",
        "further outputs": "picture objects-dir splats report",
        "meshes": "colours texture max-faces clean carve thin",
        "sampling": "seed steps guidance guidance-interval rescale-t",
        "how it is computed": "device precision memory-gb offload",
    }

    def run(self) -> int:
        """The exit code: 1 if no instance was completed. Raises UsageError, PipelineError and CheckpointError."""
        from models.compat import MENDED, OFFICIAL
        from pipelines.complete.compute_device import ComputeDevice
        from pipelines.complete.instance_masks import chosen_ids
        from pipelines.complete.pipeline import FixerPipeline
        from pipelines.complete.terminal import Terminal

        outputs = self._outputs()
        self._check_inputs()
        self._check_numbers()
        outputs.check()
        self.out.parent.mkdir(parents=True, exist_ok=True)  # an unwritable place is found before the work
        checkpoint = checkpoint_or_packaged(self.checkpoint, sys.stderr)
        compute = ComputeDevice.choose(self.device, self.precision, self.offload)
        inputs = self._inputs(compute)
        for assumed in inputs.assumed:
            sys.stderr.write(f"fixer-complete: {assumed}\n")
        chosen_ids(inputs.masks, self.instances or None)  # unknown ids are found before networks are loaded
        compat = OFFICIAL if self.official_behaviour else MENDED
        pipe = FixerPipeline.from_pretrained(
            checkpoint, self.device, self.precision, self.offload, self._weights(), reference_compat=compat
        )
        terminal = Terminal(sys.stderr)
        completion = pipe(
            inputs.rgb_HW3,
            inputs.masks,
            inputs.depth_HW,
            inputs.camera,
            instances=self.instances or None,
            depth_ratio=self._alpha(inputs),
            seed=self.seed,
            settings=self._settings(pipe),
            memory_gb=self.memory_gb,
            on_progress=terminal.show,
        )
        outputs.write(completion, inputs)
        terminal.summarise(completion, self.out)
        return EXIT_DONE if completion.completed else EXIT_ERROR

    def _check_inputs(self) -> None:
        """Raises UsageError for inputs that are missing, or given twice, or do not belong together."""
        files, row = self.image is not None, self.shards is not None
        if files == row:
            raise UsageError("give --image or --shards, not both" if files else MISSING)
        if files and self.masks is None:
            raise UsageError("--image needs --masks: which pixels belong to which object")
        if row and self.view is None:
            raise UsageError("--shards needs --view: the number of the view")
        of_files = {
            "--depth-unit-m": self.depth_unit_m is not None,
            "--depth-along-ray": self.depth_along_ray,
            "--split-components": self.split_components,
        }
        if row and any(of_files.values()):
            raise UsageError(f"{next(name for name, given in of_files.items() if given)} is for --image, not --shards")

    def _check_numbers(self) -> None:
        """Raises UsageError for numbers that cannot be meant."""
        from pipelines.samplers import SamplerConfig

        SamplerConfig(**self._sampling())  # raises for what no sampler can do
        self._depth_unit_m()  # raises for what is no unit
        wrong = {
            "--texture is the edge of an image in pixels, 16 to 16384": self.texture is not None
            and not 16 <= self.texture <= 16384,
            "--max-faces must be at least 4": self.max_faces is not None and self.max_faces < 4,
            "--memory-gb must be positive": self.memory_gb is not None and not self.memory_gb > 0,
            "--alpha is a share from 0 (exact depth) to 1 (estimated)": self.alpha is not None
            and not 0 <= self.alpha <= 1,
            "--seed must be 0 or more": self.seed < 0,
        }
        for what, is_so in wrong.items():
            if is_so:
                raise UsageError(what)

    def _inputs(self, compute: ComputeDevice) -> SceneInputs:
        from pipelines.complete.inputs.estimators import MOGE2
        from pipelines.complete.inputs.from_dataset import GROUND_TRUTH, read_row
        from pipelines.complete.inputs.from_files import FileRequest, read_files

        if self.shards is not None:
            assert self.view is not None  # checked
            return read_row(self.shards, self.view, self.depth or GROUND_TRUTH)
        assert self.image is not None  # checked
        assert self.masks is not None
        moge2 = self._weights().get(MOGE2)
        request = FileRequest(
            image=self.image,
            masks=self.masks,
            depth=self.depth or MOGE2,
            camera=self.camera,
            fov_deg=self.fov_deg,
            depth_unit_m=self._depth_unit_m(),
            depth_along_ray=self.depth_along_ray,
            split_components=self.split_components,
            depth_weights=self.depth_weights,
            moge2_weights=None if moge2 is None else Path(moge2),
        )
        return read_files(request, compute)

    def _outputs(self) -> OutputFiles:
        from pipelines.complete.export.appearance import Appearance
        from pipelines.complete.export.outputs import OutputFiles

        source: ColourSource = "gaussians" if self.colours == "gaussians" else "mesh"
        appearance = Appearance(source, self.texture, self.max_faces)
        return OutputFiles(self.out, self.splats, self.objects_dir, self.picture, self.report, appearance)

    def _settings(self, pipe: FixerPipeline) -> Settings:
        from pipelines.complete.settings import Settings

        return Settings(
            samplers=pipe.networks.samplers.with_all(**self._sampling()),
            gaussians=self.splats is not None or self.colours == "gaussians",
            clean=self.clean,
            fit=self.fit,
            colours="mesh" if self.colours == "gaussians" else self.colours,
            carve=self.carve,
            thin=self.thin,
        )

    def _sampling(self) -> dict[str, Any]:
        """What the user changes of the checkpoint's samplers."""
        given = {
            "steps": self.steps,
            "guidance": self.guidance,
            "guidance_interval": self.guidance_interval,
            "rescale_t": self.rescale_t,
        }
        return {name: value for name, value in given.items() if value is not None}

    def _weights(self) -> dict[str, str | Path]:
        """--encoder-weights by name. Raises UsageError."""
        return encoder_files(self.encoder_weights)

    def _depth_unit_m(self) -> float | None:
        """Raises UsageError."""
        try:
            return None if self.depth_unit_m is None else parse_unit(self.depth_unit_m)
        except UsageError as error:
            raise UsageError(f"--depth-unit-m: {error}") from error

    def _alpha(self, inputs: SceneInputs) -> float:
        if self.alpha is not None:
            return self.alpha
        return 0.0 if inputs.exact_depth else 1.0
