"""Facts about depth sidecars: what is stored, how it is read, what is refused."""

import hashlib
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from scenegen.contract import sidecar
from scenegen.contract.dataset import Dataset
from scenegen.contract.index import shard_name
from scenegen.contract.sidecar import Alignment, DepthErrors, DepthEstimate, EstimatorMeta, InstanceAlignment
from scenegen.contract.validate import estimate_problems

FROZEN = {1: "7a500af0bc53fb90"}
META = EstimatorMeta(
    "tester", "depth", True, "scale", "hub/tester", "abc", "00", "MIT", "CC-BY-NC-4.0", False, 2.0, {"seed": 3}
)
INVERSE = replace(META, estimator="inverse", kind="inverse_depth", metric=False, alignment="inverse_scale_shift")


def estimate_of(view, scale=0.5):
    """A metric estimate that is half the true depth, surest in the middle, with one instance."""
    confidence = np.linspace(1, 30, view.depth_m.size, dtype=np.float32).reshape(view.depth_m.shape)
    made = scale * view.depth_m
    usable = np.isfinite(made) & (confidence > 2)
    error = float((np.abs(made / scale - view.depth_m) / view.depth_m)[usable].mean())
    return DepthEstimate(
        view.scene_index,
        view.view_index,
        "tester",
        "depth",
        True,
        made,
        confidence,
        2.0,
        Alignment("scale", 1 / scale, 0.0, 0.9),
        DepthErrors(error, 1.0),
        DepthErrors(0.5, 0.0),
        (InstanceAlignment(3, 1.1, 40, DepthErrors(0.01, 1.0)),),
        33.0,
        (1,),
        "left eye",
    )


def add_sidecar(folder, shard, meta=META, make=estimate_of):
    """Write a sidecar for a shard of `dataset_dir`."""
    dataset = Dataset.open(folder)
    views = [dataset.view(i) for i in (range(4) if shard == 0 else range(4, 6))]
    digest = dataset.metadata()["config_digest"]
    path = folder / shard_name(sidecar.sidecar_table(meta.estimator), shard, 2)
    with pq.ParquetWriter(path, sidecar.sidecar_schema(meta, digest)) as writer:
        for view in views:
            row = sidecar.encode_estimate(make(view), 0.8)
            writer.write_batch(row.replace_schema_metadata(writer.schema.metadata), row_group_size=1)


def test_an_estimate_comes_back_as_it_was_written(dataset_dir):
    add_sidecar(dataset_dir, 0)
    dataset = Dataset.open(dataset_dir)
    view, found = dataset.view(1), dataset.depth_estimate(1, "tester")
    wanted = estimate_of(view)
    np.testing.assert_allclose(found.map, wanted.map, rtol=1e-4)
    np.testing.assert_array_equal(np.isnan(found.map), np.isnan(wanted.map))
    np.testing.assert_allclose(found.confidence, wanted.confidence, rtol=0.01)
    for name in ("alignment", "instances", "focal_px", "source_views", "variant", "kind", "metric"):
        assert repr(getattr(found, name))[:60] == repr(getattr(wanted, name))[:60]
    assert found.errors.abs_rel == pytest.approx(wanted.errors.abs_rel)


def test_the_aligned_map_is_metres_and_instances_have_their_own_scale(dataset_dir):
    add_sidecar(dataset_dir, 0)
    view, found = Dataset.open(dataset_dir).view(0), Dataset.open(dataset_dir).depth_estimate(0, "tester")
    np.testing.assert_allclose(found.aligned_m, view.depth_m, rtol=1e-4)
    np.testing.assert_allclose(found.aligned_to_instance_m(3), 1.1 * view.depth_m, rtol=1e-4)
    with pytest.raises(KeyError, match=r"instance 4 .* not aligned"):
        found.aligned_to_instance_m(4)


def test_validity_is_a_value_and_enough_confidence(dataset_dir):
    add_sidecar(dataset_dir, 0)
    found = Dataset.open(dataset_dir).depth_estimate(0, "tester")
    np.testing.assert_array_equal(found.valid, np.isfinite(found.map) & (found.confidence > 2))
    assert 0 < found.valid.sum() < found.valid.size


def test_inverse_depth_keeps_its_zero_and_is_only_depth_once_aligned(dataset_dir):
    def make(view):
        made = np.nan_to_num(1 / view.depth_m - 0.1, nan=0.0).clip(0)
        return DepthEstimate(
            view.scene_index,
            view.view_index,
            "inverse",
            "inverse_depth",
            False,
            made,
            alignment=Alignment("inverse_scale_shift", 1.0, 0.1),
            errors=DepthErrors(0.0, 1.0),
        )

    add_sidecar(dataset_dir, 0, INVERSE, make)
    view, found = Dataset.open(dataset_dir).view(2), Dataset.open(dataset_dir).depth_estimate(2, "inverse")
    hit = np.isfinite(view.depth_m) & (view.depth_m < 9)
    assert (found.map[~np.isfinite(view.depth_m)] == 0).all()
    np.testing.assert_allclose(found.aligned_m[hit], view.depth_m[hit], rtol=2e-3)
    assert not np.allclose(found.map[hit], view.depth_m[hit], rtol=0.3)


def test_the_truth_is_an_estimate_without_error_that_needs_no_file(dataset_dir):
    dataset = Dataset.open(dataset_dir)
    view, found = dataset.view(3), dataset.depth_estimate(3, "gt")
    np.testing.assert_array_equal(found.aligned_m, view.depth_m)
    np.testing.assert_array_equal(found.aligned_to_instance_m(3), view.depth_m)
    assert found.estimator == "gt" and found.errors == DepthErrors(0.0, 1.0)
    assert dataset.estimators() == ()


def test_an_estimator_is_listed_once_every_shard_has_it(dataset_dir):
    add_sidecar(dataset_dir, 0)
    dataset = Dataset.open(dataset_dir)
    assert (dataset.estimators(), dataset.estimators(complete=False)) == ((), ("tester",))
    with pytest.raises(FileNotFoundError, match=r"shard 1 .*scenegen annotate .*--estimators tester"):
        dataset.depth_estimate(5, "tester")
    add_sidecar(dataset_dir, 1)
    assert Dataset.open(dataset_dir).estimators() == ("tester",)
    assert Dataset.open(dataset_dir).depth_estimate(5, "tester").scene_index == 2


def test_a_sidecar_of_other_rows_than_its_shard_is_never_read(dataset_dir):
    add_sidecar(dataset_dir, 1)
    shutil.copy(dataset_dir / shard_name("depth_tester", 1, 2), dataset_dir / shard_name("depth_tester", 0, 2))
    with pytest.raises(ValueError, match="made anew; make it again: scenegen annotate --data"):
        Dataset.open(dataset_dir).depth_estimate(0, "tester")


def test_errors_are_read_without_decoding_a_map(dataset_dir):
    add_sidecar(dataset_dir, 0)
    add_sidecar(dataset_dir, 1)
    table = Dataset.open(dataset_dir).table("depth_tester", ["scene_index", "abs_rel", "instances.scale"])
    assert table.num_rows == 6 and table["scene_index"].to_pylist() == [0, 0, 1, 1, 2, 2]
    with pytest.raises(ValueError, match="views, scenes, instances, depth_tester"):
        Dataset.open(dataset_dir).table("depth_nobody")


def test_licences_and_weights_are_in_the_file(dataset_dir):
    add_sidecar(dataset_dir, 0)
    assert Dataset.open(dataset_dir).estimator_meta("tester") == META


def test_another_version_is_refused(dataset_dir):
    with pytest.raises(ValueError, match="sidecar version 99"):
        EstimatorMeta.from_metadata({**META.to_metadata("x"), "sidecar_version": "99"})


@pytest.mark.parametrize("value", [0.0, -1.0, np.inf])
def test_a_depth_that_cannot_be_is_refused(dataset_dir, value):
    view = Dataset.open(dataset_dir).view(0)
    estimate = estimate_of(view)
    estimate.map[12, 12] = value
    with pytest.raises(ValueError, match="positive finite"):
        sidecar.encode_estimate(estimate, 1.0)


def test_inverse_depth_is_never_aligned_as_depth():
    with pytest.raises(ValueError, match="inverse depth is aligned as such"):
        sidecar.check_kind("inverse_depth", "scale_shift")
    with pytest.raises(ValueError, match="cannot be aligned"):
        sidecar.check_kind("depth", "inverse_scale_shift")


def test_columns_and_conventions_are_those_of_the_sidecar_version():
    described = [[f.name, str(f.type), f.nullable, sorted(f.metadata.items())] for f in sidecar.SIDECAR_FIELDS]
    digest = hashlib.sha256(repr(described).encode()).hexdigest()[:16]
    assert FROZEN[sidecar.SIDECAR_VERSION] == digest, "raise SIDECAR_VERSION, add its digest here, tell the CHANGELOG"


def test_validation_finds_what_is_wrong_with_a_row(dataset_dir):
    view = Dataset.open(dataset_dir).view(0)
    good = estimate_of(view)
    assert [*estimate_problems(good, view)] == []
    wrong = {
        "rows are not in the views' order": replace(good, view_index=1),
        "has shape": replace(good, map=good.map[:-1], confidence=None),
        "does not show": replace(good, instances=(InstanceAlignment(4, 1.0, 9, DepthErrors(0, 1)),)),
        "not positive": replace(good, instances=(InstanceAlignment(3, -1.0, 9, DepthErrors(0, 1)),)),
        "its map gives": replace(good, errors=DepthErrors(0.3, 1.0)),
        "errors without an alignment": replace(good, alignment=None),
    }
    for reason, estimate in wrong.items():
        assert any(reason in problem for problem in estimate_problems(estimate, view)), reason
