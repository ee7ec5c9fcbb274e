"""Facts about files that another machine has written."""

import socket
import threading

import pytest

from scenegen.contract.storage import Root
from scenegen.jobs.shared_storage import NotSharedError, wait_for_files


def test_a_file_that_appears_late_is_waited_for(tmp_path):
    root = Root.open(tmp_path)
    late = threading.Timer(0.3, root.write_bytes, ["config.json", b"{}"])
    late.start()
    wait_for_files(root, ["config.json"], within_s=30.0)
    assert root.exists("config.json")
    late.join()


def test_a_folder_that_is_not_shared_is_named_with_the_machine_and_what_to_do(tmp_path):
    with pytest.raises(
        NotSharedError, match=r"does not see .*config.json.*file system that they share.*s3://"
    ) as caught:
        wait_for_files(Root.open(tmp_path), ["config.json"], within_s=0.0)
    assert str(caught.value).startswith(socket.gethostname())
