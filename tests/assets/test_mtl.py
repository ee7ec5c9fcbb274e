"""Statements of material libraries, in the dialects that people's programs write."""

import pytest

from scenegen.assets.model_files.mtl import library_names, map_name


@pytest.mark.parametrize(
    ("argument", "options", "name"),
    [
        ("wood.png", "", "wood.png"),
        ("wood grain.png", "", "wood grain.png"),
        ("-s 1 1 1 -bm 0.2 wood grain.png", "-s 1 1 1 -bm 0.2", "wood grain.png"),
        ("-s 2 wood.png", "-s 2", "wood.png"),
        ("-o 0.0 -7.0 0.0 -clamp on img/a.png", "-o 0.0 -7.0 0.0 -clamp on", "img/a.png"),
        ("-imfchan r -type sphere a.png", "-imfchan r -type sphere", "a.png"),
        ("-texres 512 textures\\a.jpg", "-texres 512", "textures\\a.jpg"),
        ("-mm 0 1 12.png", "-mm 0 1", "12.png"),
        ("-1.png", "", "-1.png"),
        ("-s 1 1", "-s 1 1", ""),
    ],
)
def test_the_options_of_a_map_statement_are_not_part_of_its_files_name(argument, options, name):
    assert map_name(argument) == (options, name)


@pytest.mark.parametrize(
    ("argument", "names"),
    [
        ("a.mtl", ["a.mtl"]),
        ("my model.mtl", ["my model.mtl"]),
        ("a.mtl my other.MTL", ["a.mtl", "my other.MTL"]),
        ("materials.txt", ["materials.txt"]),
        ("a.mtl.mtl", ["a.mtl.mtl"]),
    ],
)
def test_one_statement_may_name_several_libraries_or_one_with_blanks(argument, names):
    assert library_names(argument) == names
