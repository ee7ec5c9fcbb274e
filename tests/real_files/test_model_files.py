"""Model files as people have them, through `scenegen assets prepare`: right, or refused with a remedy."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from scenegen.assets import glb
from scenegen.assets.manifest import AssetRecord, read_manifest
from scenegen.jobs.child import KillableChild
from tests.assets.models import same_points
from tests.real_files.model_case import TETRA, TETRA_FACES, Expected
from tests.real_files.model_files import CASES, write_all
from tests.real_files.prepared import Prepared
from tests.real_files.rendered import chroma, chroma_at

pytestmark = pytest.mark.bpy
# JPEG in the canonical file, and vertex colours that Blender's importer keeps in 8 bits.
COLOUR_TOLERANCE = 6


@dataclass(frozen=True)
class Outcome:
    """What `assets prepare` made of the folder. prepared, refused (the reason): by the stem of the file's name."""

    store: Path
    right: dict[str, Expected]
    prepared: dict[str, AssetRecord]
    refused: dict[str, str]

    def model(self, name: str) -> Prepared:
        assert name in self.prepared, f"refused: {self.refused[name]}"
        return Prepared(glb.read_glb(self.store / self.prepared[name].file))


@pytest.fixture(scope="session")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One run of the command over all the files."""
    folder = tmp_path_factory.mktemp("real")
    right = write_all(folder / "raw")
    store = folder / "store"
    command = [sys.executable, "-m", "scenegen.cli", "assets", "prepare"]
    command += ["--input", str(folder / "raw"), "--out", str(store), "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    prepared = {record.name: record for record in read_manifest(store / "manifest.jsonl")}
    ledger = [json.loads(line) for line in (store / "quarantine.jsonl").read_text().splitlines()]
    refused = {Path(entry["path"]).stem: entry["reason"] for entry in ledger}
    return Outcome(store, right, prepared, refused)


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_a_file_comes_out_right_or_is_refused_with_a_remedy(name: str, outcome: Outcome) -> None:
    right = outcome.right[name]
    if right.refused:
        assert name not in outcome.prepared
        missing = [pattern for pattern in right.refused if not re.search(pattern, outcome.refused[name])]
        assert not missing, outcome.refused[name]
        return
    model = outcome.model(name)
    assert right.points is not None
    low, high = right.points.min(axis=0), right.points.max(axis=0)
    centre, scale = (low + high) / 2, 1 / (high - low).max()
    expected = (right.points - centre) * scale
    assert same_points(model.corners.reshape(-1, 3), expected) < 2e-4
    assert outcome.prepared[name].faces == len(model.corners)
    assert right.faces is None or len(model.corners) == right.faces
    for place, colour in right.colours:
        found, _ = model.colour_at((np.array(place) - centre) * scale)
        assert np.abs(found - colour).max() <= COLOUR_TOLERANCE, f"{found.round()} at {place} instead of {colour}"
    for place, opacity in right.alpha:
        assert model.colour_at((np.array(place) - centre) * scale)[1] == opacity


LOOKS = ("second_uv_set", "texture_transform", "map_options", "ply_texture_file", "webp_texture", "unlit")


def test_what_is_stored_is_what_is_rendered(outcome: Outcome) -> None:
    """Each face has its hue in a render: gloss adds up to 0.14 of white, another face's colour differs by 0.5."""
    child = KillableChild("tests.real_files.rendered:render_all")
    try:
        images = child.call(120, outcome.store, [outcome.prepared[name].uid for name in LOOKS])
    finally:
        child.close()
    centre, scale = (TETRA.min(axis=0) + TETRA.max(axis=0)) / 2, 1 / np.ptp(TETRA, axis=0).max()
    corners = TETRA[TETRA_FACES].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    for name in LOOKS:
        for normal, (place, colour) in zip(normals, outcome.right[name].colours, strict=True):
            seen = chroma_at(images[outcome.prepared[name].uid], (np.array(place) - centre) * scale, normal)
            assert np.abs(seen - chroma(np.array(colour))).max() < 0.2, f"{name}: {seen} instead of {colour}"


def test_texture_variants_of_one_shape_are_assets_of_their_own(outcome: Outcome) -> None:
    for names in (["variants", "variant_1", "variant_2", "variant_3"], ["gltf_variants", "gltf_variant_1"]):
        looks = {tuple(outcome.model(name).colour_at(np.zeros(3))[0].round(-1)) for name in names}
        assert len({outcome.prepared[name].uid for name in names}) == len(looks) == len(names)


def test_an_unlit_scan_takes_the_light_of_the_room(outcome: Outcome) -> None:
    model = outcome.model("unlit")
    assert "KHR_materials_unlit" not in model.extensions_of_materials()
    assert not any("emissiveTexture" in material for material in model.document.json["materials"])


def test_the_outside_stays_outside(outcome: Outcome) -> None:
    """The signed volume of every closed tetrahedron is positive, mirrored or not."""
    solid = [n for n, right in outcome.right.items() if right.points is not None and right.faces == 4]
    for name in (n for n in solid if n in outcome.prepared):
        a, b, c = outcome.model(name).corners.astype(np.float64).transpose(1, 0, 2)
        assert np.einsum("fi,fi->", a, np.cross(b, c)) > 0, name


def test_every_file_is_prepared_or_refused_and_none_is_forgotten(outcome: Outcome) -> None:
    ledger = [json.loads(line) for line in (outcome.store / "prepared.jsonl").read_text().splitlines()]
    assert len(ledger) == len(outcome.prepared)
    assert {case.name for case in CASES} <= outcome.prepared.keys() | outcome.refused.keys()
