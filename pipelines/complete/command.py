"""The options of `fixer-complete`, and what it does with them. Its help loads neither torch nor networks."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import tyro

from pipelines.complete.inputs.weights import checkpoint_or_packaged, encoder_files
from pipelines.errors import EXIT_DONE, EXIT_ERROR, PipelineError, UsageError
from scenegen.contract.command.help_page import MAIN, HelpGroups
from scenegen.contract.rerun.target import RerunOption, RerunTarget

if TYPE_CHECKING:
    from pipelines.complete.export.appearance import ColourSource
    from pipelines.complete.export.outputs import OutputFiles
    from pipelines.complete.inputs.estimators import LoadEstimator
    from pipelines.complete.inputs.from_files import FileRequest
    from pipelines.complete.inputs.scene_inputs import SceneInputs
    from pipelines.complete.pipeline import FixerPipeline
    from pipelines.complete.results import Completion, ProgressCallback
    from pipelines.complete.settings import Settings

MISSING = (
    "fixer-complete needs an image (--image and --masks), a row of a dataset (--shards and --view), or a folder of "
    "pictures (--batch)"
)


@dataclass(frozen=True)
class CompleteCommand:
    """Complete the objects of one image in 3D, in place.

    An image and its instance masks become a scene of complete objects. A row of a dataset (--shards and --view) can
    stand for an image with its masks, depth and camera.

    With --serve it is a web page instead; `fixer-complete --serve --help` explains it.
    """

    out: Path
    """The scene, a GLB file with a node for each instance; with --batch the folder for its results."""
    checkpoint: str | None = None
    """A folder, or owner/repo on the hub, with a pipeline.json: RUN_DIR/pipeline of train-fixer, or the released
    checkpoint. Default: the small model in this package, which is not the released one."""
    image: Path | None = None
    """The image to complete."""
    masks: Path | None = None
    """An image of ids or colours (not JPEG), a folder with a mask for each instance, or COCO JSON. The size may differ
    from the image's."""
    depth: str = ""
    """An estimator (moge2, depth_pro, vggt) or a file (.npy, .npz, .exr, .tiff, .pfm, 16-bit .png); with --shards: gt,
    or an estimator of its sidecars. Default: moge2 for an image, gt for a row."""
    depth_weights: Path | None = None
    """Weights of the depth estimator, a file or folder. Default: moge2 of --encoder-weights, otherwise the Hugging Face
    cache."""
    depth_unit_m: Annotated[str | None, tyro.conf.arg(metavar="M|NAME")] = None
    """What a value of 1 in the depth file means: a number of metres, such as 0.001, or m, cm, mm, scannet, tum, kitti,
    sunrgbd. Default: decided from the values, and said."""
    depth_along_ray: bool = False
    """The depth file holds distances along each pixel's ray, not depth along the camera's axis."""
    camera: Path | None = None
    """A JSON file with intrinsics and, if it is known, the pose. Default: MoGe-2's focal length, a level camera."""
    fov_deg: float | None = None
    """Horizontal field of view of the camera; --camera takes a file instead."""
    shards: str | None = None
    """A dataset from which image, masks, depth and camera are taken."""
    view: int | None = None
    """Number of the view in --shards."""
    batch: Path | None = None
    """A folder of pictures to complete, each into OUT/NAME/: NAME.jpg with NAME.masks.png (or NAME.json, COCO), and
    where there are some NAME.depth.npy and NAME.camera.json; or a folder NAME/ with image.jpg, masks.png and so on.
    What lies beside a picture goes before --masks, --depth, --camera and --fov-deg, which are for all others."""
    instances: Annotated[tuple[int, ...], tyro.conf.arg(metavar="ID ID ...")] = ()
    """Ids of the instances to complete. Default: all."""
    split_components: bool = False
    """Split a single mask into its connected components and complete each as an object of its own; specks are left
    out."""
    splats: Path | None = None
    """Also write the Gaussians of all instances, as a PLY file for splat viewers."""
    objects_dir: Path | None = None
    """Also write a GLB file of each instance into this folder, ID.glb."""
    picture: Path | None = None
    """Also write a PNG: the image, and the completed objects from its camera and from the side."""
    report: Path | None = None
    """Also write a JSON report: outcomes, transforms, timings, seeds."""
    rerun: RerunOption = None
    """Also show every step in 3D in the Rerun viewer, or save that as a file for it. Needs the `rerun` extra."""
    colours: Literal["mesh", "image", "gaussians"] | None = None
    """Where the colours of the surface come from: the mesh decoder, the nearest points that the image shows, or the
    Gaussians. Default: the checkpoint's choice, officially mesh."""
    texture: int | None = None
    """Bake textures of this width and height (512, 1024, ...) instead of vertex colours. Needs the `export` extra."""
    max_faces: int | None = None
    """Simplify every mesh to at most this many faces. Default: keep all; 20000 with --texture. Needs the `export`
    extra."""
    carve: bool | None = None
    """Remove voxels that would hide what the image shows, and floaters beside an object. Default: the
    checkpoint's choice, officially not."""
    thin: bool | None = None
    """Thin walls that are several voxels thick to their middle, and smooth the mesh. Default: the checkpoint's choice,
    officially not."""
    clean: bool = True
    """Remove what cannot be seen of a mesh from outside, and close small holes."""
    alpha: float | None = None
    """Share of estimated depth in the depth that is given, from 0 (exact) to 1. Default: 1, or 0 for gt."""
    seed: int = 0
    """The seed of the noise from which the flows start."""
    steps: int | None = None
    """Sampling steps of each flow. Default: the checkpoint's (officially 25)."""
    guidance: float | None = None
    """Strength of classifier-free guidance; 0 for none. Default: the checkpoint's (officially 5)."""
    guidance_interval: tuple[float, float] | None = None
    """First and last time at which guidance acts. Default: the checkpoint's (officially 0.5 1)."""
    rescale_t: float | None = None
    """Above 1, more of the steps are spent at noisy times. Default: the checkpoint's (officially 3)."""
    fit: Literal["letterbox", "squeeze"] = "letterbox"
    """How an image that is not square becomes square for the encoders: with black bars, or squeezed."""
    encoder_weights: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=FILE ...")] = ()
    """Weights of encoders that are not in the checkpoint: dinov2=FILE moge2=FILE."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """Where the networks run; auto is CUDA where there is a GPU."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Precision of the networks; auto is bf16 on CUDA and fp32 on the CPU."""
    memory_gb: float | None = None
    """Memory for instances that are computed together. Default: most of the GPU's free memory, or 4 on the CPU."""
    offload: bool = False
    """Keep the networks in main memory, and move each to the GPU for its step."""
    official_behaviour: bool = False
    """Reproduce the released inference with its bugs (models/compat.py), to compare with its numbers."""

    HELP_GROUPS: ClassVar[HelpGroups] = {
        MAIN: "image masks depth fov-deg out",
        "a row of a dataset instead of files": "shards view",
        "many pictures": "batch",
        "about the input": "instances split-components camera depth-weights depth-unit-m depth-along-ray alpha fit",
        "networks": "checkpoint encoder-weights official-behaviour",
        "further outputs": "picture objects-dir splats report rerun",
        "meshes": "colours texture max-faces clean carve thin",
        "sampling": "seed steps guidance guidance-interval rescale-t",
        "how it is computed": "device precision memory-gb offload",
    }

    def run(self) -> int:
        """The exit code: 1 if no instance was completed. Raises UsageError, PipelineError and CheckpointError."""
        self._check_inputs()
        self.check_values()
        self._check_files()  # before PyTorch is imported, which takes seconds
        from pipelines.complete.instance_masks import chosen_ids
        from pipelines.complete.terminal import Terminal

        self.check_sampling()
        outputs = self.outputs()
        outputs.check()
        self.out.parent.mkdir(parents=True, exist_ok=True)  # an unwritable place is found before the work
        checkpoint = checkpoint_or_packaged(self.checkpoint, sys.stderr)
        inputs = self.read_inputs()
        for assumed in inputs.assumed:
            sys.stderr.write(f"fixer-complete: {assumed}\n")
        chosen_ids(inputs.masks, self.instances or None)  # unknown ids are found before networks are loaded
        terminal = Terminal(sys.stderr)
        completion = self.complete(self.load_pipeline(checkpoint), inputs, terminal.show)
        outputs.write(completion, inputs)
        terminal.summarise(completion, self.out)
        outputs.show(completion, inputs)
        return EXIT_DONE if completion.completed else EXIT_ERROR

    def load_pipeline(self, checkpoint: str | Path) -> FixerPipeline:
        from models.compat import MENDED, OFFICIAL
        from pipelines.complete.pipeline import FixerPipeline

        compat = OFFICIAL if self.official_behaviour else MENDED
        return FixerPipeline.from_pretrained(
            checkpoint, self.device, self.precision, self.offload, self._weights(), reference_compat=compat
        )

    def complete(self, pipe: FixerPipeline, inputs: SceneInputs, show: ProgressCallback) -> Completion:
        return pipe(
            inputs.rgb_HW3,
            inputs.masks,
            inputs.depth_HW,
            inputs.camera,
            instances=self.instances or None,
            depth_ratio=self._alpha(inputs),
            seed=self.seed,
            settings=self._settings(pipe),
            memory_gb=self.memory_gb,
            on_progress=show,
        )

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

    def _check_files(self) -> None:
        """Raises PipelineError for one that is not there."""
        for path in (self.image, self.masks, self.camera):
            if path is not None and not path.exists():
                raise PipelineError(f"{path} cannot be read: there is no such file")

    def check_sampling(self) -> None:
        """Raises UsageError for what no sampler can do."""
        from pipelines.samplers import SamplerConfig

        SamplerConfig(**self._sampling())

    def check_values(self) -> None:
        """Raises UsageError for values that cannot be meant."""
        self._depth_unit_m()
        self._weights()
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

    def read_inputs(self, load: LoadEstimator | None = None) -> SceneInputs:
        """load: of depth estimators, so that many pictures share one."""
        from pipelines.complete.compute_device import ComputeDevice
        from pipelines.complete.inputs.estimators import LoadedEstimator
        from pipelines.complete.inputs.from_dataset import GROUND_TRUTH, read_row
        from pipelines.complete.inputs.from_files import read_files

        compute = ComputeDevice.choose(self.device, self.precision, self.offload)
        if self.shards is not None:
            assert self.view is not None  # checked
            return read_row(self.shards, self.view, self.depth or GROUND_TRUTH)
        return read_files(self.files(), compute, load or LoadedEstimator.load)

    def files(self) -> FileRequest:
        """The files of the picture, and how they are to be read."""
        from pipelines.complete.inputs.estimators import MOGE2
        from pipelines.complete.inputs.from_files import FileRequest

        assert self.image is not None  # checked
        assert self.masks is not None
        moge2 = self._weights().get(MOGE2)
        return FileRequest(
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

    def outputs(self) -> OutputFiles:
        from pipelines.complete.export.appearance import Appearance
        from pipelines.complete.export.outputs import OutputFiles

        source: ColourSource = "gaussians" if self.colours == "gaussians" else "mesh"
        appearance = Appearance(source, self.texture, self.max_faces)
        rerun = RerunTarget.of(self.rerun)
        return OutputFiles(self.out, self.splats, self.objects_dir, self.picture, self.report, appearance, rerun)

    def _settings(self, pipe: FixerPipeline) -> Settings:
        from pipelines.complete.settings import Settings

        return Settings(
            samplers=pipe.networks.samplers.with_all(**self._sampling()),
            gaussians=self.splats is not None or self.colours == "gaussians" or self.rerun is not None,
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
        if self.depth_unit_m is None:
            return None
        from pipelines.complete.inputs.depth_units import parse_unit

        try:
            return parse_unit(self.depth_unit_m)
        except UsageError as error:
            raise UsageError(f"--depth-unit-m: {error}") from error

    def _alpha(self, inputs: SceneInputs) -> float:
        if self.alpha is not None:
            return self.alpha
        return 0.0 if inputs.exact_depth else 1.0
