"""Opens what a dataset's configuration asks for: assets, lights, materials, and the renderer.

Who only describes a dataset needs neither what makes scenes nor what it stands on, such as SciPy.
"""

import hashlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import scenegen
from scenegen.assets.hdris import HdriLibrary
from scenegen.assets.library import AssetLibrary
from scenegen.assets.materials import MaterialLibrary
from scenegen.config import AssetsConfig, DatasetConfig
from scenegen.contract.schema import ShardMeta
from scenegen.errors import SceneGenError
from scenegen.scenes.worker_job import WorkerJob
from scenegen.shards.config_file import StoredConfig

if TYPE_CHECKING:
    from scenegen.scenes.box_renderer import BoxLibrary
    from scenegen.scenes.maker import SceneTools


def describe_dataset(config: DatasetConfig, preset: str = "") -> StoredConfig:
    """What config.json of a dataset of this config holds.

    Raises UsageError if its assets cannot be opened, SceneGenError if Blender is asked for and not installed.
    """
    return StoredConfig(config, shard_meta(config), _assets_digest(config.assets), preset)


def _assets_digest(config: AssetsConfig) -> str:
    """sha256 of the records of all assets that scenes may use. Raises UsageError for unusable stores."""
    libraries = (AssetLibrary.open(config), HdriLibrary.open(config), MaterialLibrary.open(config))
    return hashlib.sha256("".join(library.digest for library in libraries).encode()).hexdigest()


def shard_meta(config: DatasetConfig) -> ShardMeta:
    """The metadata of every file of the dataset. Raises SceneGenError if Blender is asked for and not installed."""
    return ShardMeta(
        config_digest=config.digest,
        dataset_seed=config.seed,
        code_version=scenegen.__version__,
        renderer=renderer_name(config),
        colour_transform="none" if config.renderer == "boxes" else f"{config.render.view_transform}, sRGB display",
        transparent=config.render.transparent,
    )


def renderer_name(config: DatasetConfig) -> str:
    """ "boxes", or "blender" with the version of bpy that is installed (without importing it)."""
    if config.renderer == "boxes":
        return "boxes"
    try:
        return f"blender {version('bpy')}"
    except PackageNotFoundError:
        raise SceneGenError("Blender is not installed; run: pip install 'fixer3d[render]' (Python 3.11)") from None


def open_library(config: DatasetConfig) -> "AssetLibrary | BoxLibrary":
    """The objects that the scenes may use; boxes in their place for the box renderer.

    Raises UsageError if the filters leave none.
    """
    from scenegen.scenes.box_renderer import BoxLibrary

    library = AssetLibrary.open(config.assets)
    return BoxLibrary(library) if config.renderer == "boxes" else library


def open_tools(job: WorkerJob) -> "SceneTools":
    """Everything that a worker process needs. Raises SceneGenError for a missing device or unusable assets."""
    from scenegen.scenes.box_renderer import BoxLibrary, BoxRenderer
    from scenegen.scenes.maker import SceneTools

    config = job.config
    library = open_library(config)
    hdris = HdriLibrary.open(config.assets)
    materials = MaterialLibrary.open(config.assets)
    if isinstance(library, BoxLibrary):
        return SceneTools(library, hdris.uids, materials.uids, BoxRenderer(library, config.render.transparent))
    from scenegen.blender.renderer import BlenderRenderer

    renderer = BlenderRenderer(library, hdris, materials, config, job.device, job.threads)
    return SceneTools(library, hdris.uids, materials.uids, renderer)
