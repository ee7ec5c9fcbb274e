"""Materials of floors and walls. `FAMILIES` can be read without bpy."""

from scenegen.blender.materials.families import FAMILIES, Family

__all__ = ["FAMILIES", "Family"]
