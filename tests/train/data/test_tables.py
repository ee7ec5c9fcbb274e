"""Only a change of the data that a stage reads keeps it from resuming."""

import copy

import pytest

from pipelines.errors import UsageError
from pipelines.names import STAGE_NAMES
from pipelines.train.data.options import DataLocation, DataOptions
from pipelines.train.data.tables import check_tables, only_what_is_read
from pipelines.train.outputs.description import differences


@pytest.fixture(scope="module")
def options(tiny_data):
    return DataOptions((DataLocation(str(tiny_data)),), extractor="tiny")


@pytest.fixture(scope="module")
def described(options):
    return options.describe()


def test_another_estimator_changes_only_the_stages_that_see_scenes(described):
    more = copy.deepcopy(described)
    more["datasets"][0]["estimators"].append("moge2")
    changed = {name for name in STAGE_NAMES if only_what_is_read(name, described) != only_what_is_read(name, more)}
    assert changed == {"coarse", "fine", "texturer"}


def test_new_voxel_features_change_only_the_stages_that_read_them(described):
    other = copy.deepcopy(described)
    other["datasets"][0]["tables"]["objects_features_tiny"]["extractor"] = "another"
    changed = {name for name in STAGE_NAMES if only_what_is_read(name, described) != only_what_is_read(name, other)}
    assert changed == {"slat_vae", "slat_base", "gaussian_decoder", "mesh_decoder", "texturer"}


def test_what_differs_in_a_dataset_is_named_value_by_value(described):
    other = copy.deepcopy(described)
    other["datasets"][0]["views"] += 4
    (line,) = differences({"data": described}, {"data": other})
    assert line.startswith("data.datasets.0.views: ")


def test_every_stage_finds_its_tables_and_misses_those_of_another_extractor(options, tiny_data):
    for stage in STAGE_NAMES:
        check_tables(stage, options)
    missing = DataOptions(options.locations, extractor="dinov2")
    check_tables("coarse", missing)
    with pytest.raises(UsageError, match=rf"--data {tiny_data} --steps features --extractor dinov2"):
        check_tables("texturer", missing)
