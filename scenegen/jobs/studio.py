"""Opens what a dataset's configuration asks for: assets, lights, materials, and the renderer."""

from importlib.metadata import PackageNotFoundError, version

import scenegen
from scenegen.config import DatasetConfig
from scenegen.contract.schema import ShardMeta
from scenegen.errors import SceneGenError


def shard_meta(config: DatasetConfig) -> ShardMeta:
    """What every file of the dataset says of itself. Raises SceneGenError if Blender is asked for and not installed."""
    return ShardMeta(
        config_digest=config.digest,
        dataset_seed=config.seed,
        code_version=scenegen.__version__,
        renderer=renderer_name(config),
        colour_transform="none" if config.renderer == "boxes" else f"{config.render.view_transform}, sRGB display",
    )


def renderer_name(config: DatasetConfig) -> str:
    """ "boxes", or "blender" with the version of bpy that is installed (without importing it)."""
    if config.renderer == "boxes":
        return "boxes"
    try:
        return f"blender {version('bpy')}"
    except PackageNotFoundError:
        raise SceneGenError("Blender is not installed; run: pip install 'fixer3d[render]' (Python 3.11)") from None
