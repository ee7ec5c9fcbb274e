"""Recipes with the published numbers, sizes with the published parameter counts, a registry of every stage."""

import os

import pytest
import torch

from models.completer import StructureCompleter
from models.gaussian_decoder import GaussianDecoder
from models.mesh_decoder import MeshDecoder
from models.registry import construct
from models.slat_flow import SLatFlow
from models.slat_vae import SLatEncoder
from models.structure_flow import SparseStructureFlow
from models.structure_vae import SparseStructureDecoder, SparseStructureEncoder
from models.texturer import Texturer
from models.weights import WithoutStorage
from pipelines.encoders.protocol import EncoderSizes
from pipelines.encoders.registry import load_encoders
from pipelines.errors import UsageError
from pipelines.names import SIZE_NAMES, STAGE_NAMES
from pipelines.train.build_stages import compute_threads
from pipelines.train.optimisation.distributed import Ranks
from pipelines.train.settings.recipes import FlowRecipe, recipe
from pipelines.train.settings.sizes import official, system_sizes
from pipelines.train.stages.registry import STAGES, stage_entry

OFFICIAL_ENCODERS = EncoderSizes(518, 1374, 1024, 37, 32, 1024)
NETWORKS = {
    "structure_encoder": (SparseStructureEncoder, 59_298_192),
    "structure_decoder": (SparseStructureDecoder, 73_671_201),
    "structure_flow": (SparseStructureFlow, 555_543_560),
    "coarse_completer": (StructureCompleter, 429_686_784),
    "slat_encoder": (SLatEncoder, 85_817_104),
    "gaussian_decoder": (GaussianDecoder, 85_369_024),
    "mesh_decoder": (MeshDecoder, 90_926_693),
    "slat_flow": (SLatFlow, 600_432_520),
    "texturer": (Texturer, 464_848_128),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_official_sizes_have_the_published_parameter_counts(name: str) -> None:
    kind, count = NETWORKS[name]
    with WithoutStorage():
        network = construct(kind, official(OFFICIAL_ENCODERS).config_of(name))
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_each_size_has_less_than_a_tenth_of_the_parameters_of_the_next() -> None:
    counts = {}
    for size in SIZE_NAMES:
        sizes = system_sizes(size, OFFICIAL_ENCODERS)
        with WithoutStorage():
            networks = [construct(kind, sizes.config_of(name)) for name, (kind, _) in NETWORKS.items()]
        counts[size] = sum(p.numel() for network in networks for p in network.parameters())
    assert counts["tiny"] < counts["small"] / 10 < counts["official"] / 100


@pytest.mark.parametrize(
    ("stage", "steps", "learning_rate", "others"),
    [
        ("structure_base", 150_000, 1e-5, [(1_000_000, 1e-5)]),
        ("slat_base", 450_000, 1e-5, [(1_000_000, 1e-5)]),
        ("gaussian_decoder", 80_000, 1e-5, [(1_000_000, 1e-5)]),
        ("mesh_decoder", 80_000, 1e-5, [(1_000_000, 1e-5)]),
        ("object", 100_000, 5e-5, [(100_000, 1e-5)]),
        ("coarse", 80_000, 5e-5, [(150_000, 1e-5)]),
        ("fine", 80_000, 5e-5, [(150_000, 1e-5)]),
        ("texturer", 90_000, 5e-5, [(450_000, 1e-5)]),
    ],
)
def test_official_recipes_take_the_supplement_and_keep_what_was_released(stage, steps, learning_rate, others) -> None:
    made = recipe(stage, "official")
    assert (made.steps, made.learning_rate, made.batch_size, made.takes) == (steps, learning_rate, 128, "supplement")
    assert [(each.steps, each.learning_rate) for each in made.stated[1:]] == others
    assert (made.ema_decay, made.weight_decay) == (0.9999, 0.0)


@pytest.mark.parametrize(("stage", "weight"), [("object", 0.0), ("coarse", 0.1), ("fine", 0.5), ("texturer", 0.5)])
def test_alignment_has_the_published_weight_where_there_is_time_for_it(stage, weight) -> None:
    for size in SIZE_NAMES:
        made = recipe(stage, size)
        assert isinstance(made, FlowRecipe)
        assert (made.alignment_weight, made.drop_condition) == (0.0 if size in ("compact", "dense") else weight, 0.1)
        near_noise = size in ("compact", "dense") and stage != "object"  # it is sampled in one step from there
        assert (made.path.t_mean, made.path.t_std) == (2.5 if near_noise else 1.0, 1.0)


def test_the_compact_system_fits_into_32_megabytes_of_half_precision() -> None:
    sizes = system_sizes("compact", load_encoders("efficientnet_lite0").sizes)
    with WithoutStorage():
        count = {
            name: sum(p.numel() for p in construct(kind, sizes.config_of(name)).parameters())
            for name, (kind, _) in NETWORKS.items()
        }
    assert 2 * (sum(count.values()) + count["coarse_completer"]) < 32e6, "the completer is there twice"


@pytest.mark.parametrize("size", SIZE_NAMES)
def test_every_stage_has_a_recipe_that_says_where_its_numbers_are_from(size) -> None:
    for stage in STAGE_NAMES:
        assert recipe(stage, size).takes


def test_every_stage_is_registered_and_builds_on_networks_that_an_earlier_one_makes() -> None:
    assert set(STAGES) == set(STAGE_NAMES)
    made: set[str] = set()
    for name in STAGE_NAMES:
        assert set(stage_entry(name).needs) <= made
        made |= set(stage_entry(name).makes)


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="structure_vae"):
        stage_entry("corse")
    with pytest.raises(UsageError, match="structure_vae"):
        recipe("corse", "tiny")
    with pytest.raises(UsageError, match="tiny, compact, dense, small, official"):
        system_sizes("large", OFFICIAL_ENCODERS)


def test_computing_and_loading_share_the_cores_unless_the_user_chose(monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    on_cpu = Ranks(0, 1, torch.device("cpu"))
    assert [compute_threads(workers, on_cpu) for workers in (0, 3, 7, 16)] == [8, 5, 1, 1]
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert compute_threads(1, on_cpu) == 3
    assert compute_threads(1, Ranks(0, 1, torch.device("cuda"))) is None
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert compute_threads(1, on_cpu) is None
