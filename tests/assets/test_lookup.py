"""A name in a model file leads to the file that is meant, and never out of the folder."""

from pathlib import Path

import pytest

from scenegen.assets.model_files.lookup import find_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder with a picture, in a root with another one; a secret lies outside."""
    model = tmp_path / "root" / "chair"
    (model / "Textures").mkdir(parents=True)
    for path in (model / "Textures" / "Holz.png", tmp_path / "root" / "shared.png", tmp_path / "secret.png"):
        path.write_bytes(b"x")
    (model / "link.png").symlink_to(tmp_path / "secret.png")
    return model


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Textures/Holz.png", "chair/Textures/Holz.png"),
        (".\\textures\\HOLZ.PNG", "chair/Textures/Holz.png"),
        ('"Textures/Holz.png"', "chair/Textures/Holz.png"),
        ("C:\\Users\\me\\textures\\holz.png", "chair/Textures/Holz.png"),
        ("/home/me/Textures/Holz.png", "chair/Textures/Holz.png"),
        ("../shared.png", "shared.png"),
        ("Textures/../../shared.png", "shared.png"),
        ("../../secret.png", None),
        ("link.png", None),
        ("/etc/passwd", None),
        ("Textures", None),
        ("", None),
        ("a" * 5000, None),
        ("nul\0byte.png", None),
    ],
)
def test_a_name_leads_to_the_file_that_is_meant_and_never_out_of_the_root(name, expected, folder):
    found = find_file(name, folder, folder.parent)
    assert found == (None if expected is None else (folder.parent / expected).resolve())


def test_an_exact_name_goes_before_one_in_other_letters(folder):
    (folder / "wood.png").write_bytes(b"a")
    (folder / "Wood.png").write_bytes(b"b")
    assert find_file("Wood.png", folder, folder).read_bytes() == b"b"
    assert find_file("wood.png", folder, folder).read_bytes() == b"a"
