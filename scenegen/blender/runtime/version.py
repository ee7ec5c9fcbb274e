"""Everything that differs between Blender 4.5 LTS and 5.x; the rest of the package is the same for both.

No compositor is used at all (its interface changed most): passes are written straight by the render.
"""

import bpy

from scenegen.errors import SceneGenError

OLDEST = (4, 5, 0)
IS_5 = bpy.app.version >= (5, 0, 0)
BPY_VERSION = bpy.app.version_string


def require_supported() -> None:
    """Raises SceneGenError for a Blender older than 4.5."""
    if bpy.app.version < OLDEST:
        raise SceneGenError(f"bpy is {BPY_VERSION}; install bpy 4.5 LTS or newer (pip install 'bpy>=4.5.15')")


def write_multilayer_exr(settings: "bpy.types.ImageFormatSettings") -> None:
    """Make a render write all its passes as 32-bit float, uncompressed, into one EXR file."""
    if IS_5:
        settings.media_type = "MULTI_LAYER_IMAGE"
    settings.file_format = "OPEN_EXR_MULTILAYER"
    settings.color_depth = "32"
    settings.exr_codec = "NONE"


def write_bmp(settings: "bpy.types.ImageFormatSettings") -> None:
    """Make a render write its display-referred RGB image, 8 bit, uncompressed."""
    if IS_5:
        settings.media_type = "IMAGE"
    settings.file_format = "BMP"
    settings.color_mode = "RGB"


def write_png_rgba(settings: "bpy.types.ImageFormatSettings") -> None:
    """Make a render write its display-referred image with straight alpha, 8 bit, uncompressed."""
    if IS_5:
        settings.media_type = "IMAGE"
    settings.file_format = "PNG"
    settings.color_mode = "RGBA"
    settings.color_depth = "8"
    settings.compression = 0


def use_nodes(owner: "bpy.types.Material | bpy.types.World") -> None:
    """Give a material or world its node tree (5.x always has one)."""
    if not IS_5:
        owner.use_nodes = True
