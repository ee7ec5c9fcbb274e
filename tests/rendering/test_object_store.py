"""A dataset in an object store is the dataset of a folder."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scenegen.contract.dataset import Dataset
from scenegen.contract.storage import Root
from scenegen.verify.views import verify_dataset
from tests.box_runs.harness import PLAIN, render, stored_config, worker_command

boto3 = pytest.importorskip("boto3")
moto = pytest.importorskip("moto.server")


@pytest.fixture
def bucket() -> Iterator[str]:
    """The URI of an empty bucket on an S3 server on loopback."""
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
    before = {name: os.environ.get(name) for name in keys}
    os.environ.update(keys)
    boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1").create_bucket(Bucket="scenes")
    yield (
        f"s3://test:test@scenes/data?scheme=http&endpoint_override=127.0.0.1:{port}"
        "&region=us-east-1&allow_bucket_creation=true"
    )
    server.stop()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


def test_a_dataset_in_s3_resumes_verifies_and_reads_like_one_in_a_folder(ray_address, bucket, uninterrupted):
    root, stored = Root.open(bucket), stored_config()
    lenient = worker_command(fail=[5])
    assert render(root, stored, PLAIN, command=lenient).exit_code == 3
    retry = replace(PLAIN, retry_failed=True)
    assert render(root, stored, retry, command=worker_command()).exit_code == 0
    assert [*verify_dataset(root, stored.config, stored.meta)] == []
    in_folder = {name: content for name, content in uninterrupted.items() if name.endswith(".parquet")}
    assert {name: root.read_bytes(name) for name in in_folder} == in_folder
    assert root.list("_spool/shard-00000") == [] and root.list("_spool/shard-00001") == []
    assert Dataset.open(bucket).view(15).scene_index == 7


def test_a_bucket_that_is_not_there_is_one_clear_error(bucket: str, tmp_path: Path):
    from scenegen.errors import SceneGenError

    missing = bucket.replace("@scenes/", "@nowhere/").replace("&allow_bucket_creation=true", "")
    with pytest.raises(SceneGenError, match="cannot"):
        render(Root.open(missing), stored_config(), PLAIN, command=worker_command())
