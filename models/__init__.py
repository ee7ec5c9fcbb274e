"""The networks of TRELLIS and 3D-Fixer, DINOv2 and MoGe-2, and their checkpoints. Needs only PyTorch to import.

What is public is in `__all__`; the rest may change without notice.
"""

from models.checkpoints import CheckpointError, Runtime, read_network, read_pipeline, write_network, write_pipeline
from models.compat import MENDED, OFFICIAL, ReferenceCompat
from models.completer import CompleterCondition, StructureCompleter
from models.dinov2 import DinoVisionTransformer
from models.execution import Execution, compile_blocks
from models.flexicubes.extraction import Mesh
from models.gaussian_decoder import GaussianDecoder, Gaussians
from models.mesh_decoder import MeshDecoder
from models.moge import Moge
from models.radiance_decoder import RadianceFieldDecoder
from models.registry import build, describe
from models.slat_flow import SLatFlow
from models.slat_vae import SLatEncoder
from models.sparse.voxels import SparseTensor, VoxelSet
from models.structure_flow import SparseStructureFlow
from models.structure_vae import SparseStructureDecoder, SparseStructureEncoder
from models.texturer import Texturer, TexturerCondition
from models.weights import freeze

__all__ = [
    "MENDED",
    "OFFICIAL",
    "CheckpointError",
    "CompleterCondition",
    "DinoVisionTransformer",
    "Execution",
    "GaussianDecoder",
    "Gaussians",
    "Mesh",
    "MeshDecoder",
    "Moge",
    "RadianceFieldDecoder",
    "ReferenceCompat",
    "Runtime",
    "SLatEncoder",
    "SLatFlow",
    "SparseStructureDecoder",
    "SparseStructureEncoder",
    "SparseStructureFlow",
    "SparseTensor",
    "StructureCompleter",
    "Texturer",
    "TexturerCondition",
    "VoxelSet",
    "build",
    "compile_blocks",
    "describe",
    "freeze",
    "read_network",
    "read_pipeline",
    "write_network",
    "write_pipeline",
]
