"""Which files of a folder belong to which picture, in the layouts that people have."""

from pathlib import Path

import pytest

from pipelines.complete.batch.folder import PictureFiles, find_pictures
from pipelines.complete.batch.made_from import content_digest
from pipelines.errors import UsageError


def folder_of(place: Path, *names: str) -> Path:
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).touch()
    return place


def found(place: Path, **more) -> dict[str, dict[str, str]]:
    """By picture: what the files are, and their paths from the folder."""
    pictures = find_pictures(place, **more)
    return {one.name: {role: str(path.relative_to(place)) for role, path in one.paths.items()} for one in pictures}


def test_files_beside_one_another(tmp_path):
    a = ("a b.JPG", "a b.masks.png", "a b.depth.exr", "a b.camera.json")
    b = ("v1.2.png", "v1.2_mask.png", "v1.2_depth.npy")
    others = ("c.webp", "c.json", "d.png", "d-masks/1.png", ".hidden.png", "._d.png", "notes.txt", "lonely.masks.png")
    assert found(folder_of(tmp_path, *a, *b, *others)) == {
        "a b": {"image": a[0], "masks": a[1], "depth": a[2], "camera": a[3]},
        "c": {"image": "c.webp", "masks": "c.json"},
        "d": {"image": "d.png", "masks": "d-masks"},
        "v1.2": {"image": b[0], "masks": b[1], "depth": b[2]},
    }


def test_a_folder_for_each_picture_beside_folders_of_something_else(tmp_path):
    place = folder_of(
        tmp_path, "x/image.png", "x/masks/1.png", "x/depth.npy", "y/image.jpg", "y/masks.json", "old/z.txt"
    )
    assert found(place) == {
        "x": {"image": "x/image.png", "masks": "x/masks", "depth": "x/depth.npy"},
        "y": {"image": "y/image.jpg", "masks": "y/masks.json"},
    }


def test_a_folder_for_each_kind(tmp_path):
    place = folder_of(tmp_path, "images/1.jpg", "images/2.jpg", "images/notes.txt", "masks/1.png", "masks/2/7.png")
    assert found(folder_of(place, "depth/1.png", "cameras/2.json")) == {
        "1": {"image": "images/1.jpg", "masks": "masks/1.png", "depth": "depth/1.png"},
        "2": {"image": "images/2.jpg", "masks": "masks/2", "camera": "cameras/2.json"},
    }


def test_all_pictures_without_masks_and_with_two_are_named_at_once(tmp_path):
    folder_of(tmp_path, "a.png", "b.png", "c.png", "c.json", "c.masks.png", "d.png", "d.jpg", "d.json")
    with pytest.raises(UsageError) as error:
        find_pictures(tmp_path)
    said = str(error.value)
    assert "no masks for a, b: put NAME.masks.png" in said
    assert "c has c.json and c.masks.png (masks): keep one" in said
    assert "d has d.jpg and d.png (image)" in said


def test_masks_of_all_pictures_are_enough(tmp_path):
    assert found(folder_of(tmp_path, "a.png"), masks_of_all=True) == {"a": {"image": "a.png"}}
    assert find_pictures(tmp_path, masks_of_all=True) == [PictureFiles("a", tmp_path / "a.png")]


def test_folders_without_a_picture_are_told_what_is_expected(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere", folder_of(tmp_path, "file.txt") / "file.txt"):
        with pytest.raises(UsageError, match=r"NAME\.jpg with NAME\.masks\.png"):
            find_pictures(place)


def test_the_digest_of_a_folder_of_masks_changes_with_names_and_contents(tmp_path):
    (folder_of(tmp_path, "m/1.png") / "m/1.png").write_bytes(b"one")
    digests = [content_digest(tmp_path / "m")]
    (tmp_path / "m/1.png").rename(tmp_path / "m/2.png")
    digests.append(content_digest(tmp_path / "m"))
    (tmp_path / "m/2.png").write_bytes(b"two")
    digests.append(content_digest(tmp_path / "m"))
    assert len({*digests, content_digest(tmp_path / "m/2.png")}) == 4
