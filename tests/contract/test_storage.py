import errno
import os

import pytest

from scenegen.contract.storage import Root


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    root = Root.open(tmp_path)

    def fail_half_way(path):
        path.write_bytes(b"half")
        raise OSError("disk full")

    root.write_bytes("a/b.bin", b"old")
    with pytest.raises(OSError, match="disk full"):
        root.write_atomic("a/b.bin", fail_half_way)
    assert root.read_bytes("a/b.bin") == b"old"
    assert root.list("a") == ["b.bin"]


def test_names_lists_and_removal(tmp_path):
    root = Root.open(tmp_path / "new")
    assert root.list() == [] and not root.exists("x")
    root.write_bytes("x", b"12")
    assert root.exists("x") and root.size_bytes("x") == 2 and root.list() == ["x"]
    root.remove("x")
    root.remove("x")
    root.remove_folder("nothing")
    assert not root.exists("x")


@pytest.mark.parametrize("reason", [errno.ENOENT, errno.ENOTEMPTY, errno.EBUSY])
def test_a_folder_that_another_machine_writes_to_or_removes_meanwhile_is_no_error(reason):
    class Busy:
        def delete_dir(self, path):
            raise OSError(reason, os.strerror(reason))

    Root("/shared/data", Busy(), "/shared/data").remove_folder("_spool")


def test_an_unknown_kind_of_location_says_what_is_possible():
    with pytest.raises(ValueError, match="s3://"):
        Root.open("ftp://host/data")
