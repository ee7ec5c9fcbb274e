"""The one Blender of this process: factory settings, and one scene that is emptied and filled again."""

import shutil
import tempfile
from pathlib import Path

import bpy

from scenegen.blender.runtime import devices, version
from scenegen.blender.runtime.devices import RenderDevice
from scenegen.errors import SceneError

_OWNED_BY_SCENE = ("objects", "cameras", "lights", "worlds")


class Session:
    """Blender with factory settings, no scripts from files, persistent data, and a scratch folder.

    Only one session can be open in a process, because Blender's data is global.
    """

    def __init__(self, device: RenderDevice | str = "auto", threads: int = 0) -> None:
        """threads: CPU threads of Cycles; 0 takes all cores.

        Raises SceneGenError if the device asked for is not there.
        """
        version.require_supported()
        bpy.ops.wm.read_factory_settings(use_empty=True)
        bpy.context.preferences.filepaths.use_scripts_auto_execute = False
        bpy.context.preferences.edit.use_global_undo = False
        bpy.context.preferences.edit.undo_steps = 0
        self.device = devices.choose(device) if isinstance(device, str) else device
        self.scratch = Path(tempfile.mkdtemp(prefix="scenegen-"))
        scene = self.scene
        scene.render.engine = "CYCLES"
        devices.use(self.device, scene)
        scene.render.threads_mode = "FIXED" if threads else "AUTO"
        if threads:
            scene.render.threads = threads
        scene.render.use_persistent_data = True
        scene.render.use_file_extension = False
        scene.render.use_compositing = False
        scene.render.use_sequencer = False

    @property
    def scene(self) -> "bpy.types.Scene":
        return bpy.context.scene

    def clear(self) -> None:
        """Remove everything of the last scene; data with a fake user (cached assets) stays.

        Cycles' persistent data is freed as well: it identifies an image by its address, and a new image at the address
        of a freed one would be rendered with the old pixels.
        """
        self.scene.render.use_persistent_data = False  # frees them
        self.scene.render.use_persistent_data = True
        self.scene.camera = None
        self.scene.world = None
        for kind in _OWNED_BY_SCENE:
            blocks = getattr(bpy.data, kind)
            bpy.data.batch_remove([block for block in blocks if not block.use_fake_user])
        bpy.data.orphans_purge(do_local_ids=True, do_linked_ids=True, do_recursive=True)
        for file in self.scratch.iterdir():
            file.unlink()

    def render(self, name: str) -> Path:
        """Render the scene's camera with the current settings into scratch/name. Raises SceneError if that fails."""
        path = self.scratch / name
        self.scene.render.filepath = str(path)
        try:
            bpy.ops.render.render(write_still=True)
        except RuntimeError as error:
            raise SceneError(f"Cycles failed: {error}") from error
        if not path.is_file():
            raise SceneError(f"Cycles wrote no image {name}; is the disk of {self.scratch.parent} full?")
        return path

    def close(self) -> None:
        """Empty the scene and remove the scratch folder."""
        if self.scratch.exists():
            self.clear()
            shutil.rmtree(self.scratch, ignore_errors=True)
