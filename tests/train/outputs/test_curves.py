"""Which measures the picture of a stage shows together."""

from pipelines.train.outputs.curves import families


def test_a_baseline_shares_the_panel_of_what_it_is_a_baseline_of() -> None:
    names = ("iou", "iou_visible_only", "iou_alpha_1", "chamfer", "psnr", "psnr_of_mean", "loss", "loss_t0.5")
    line = {"kind": "validation", "step": 1, "time": 0.0, **dict.fromkeys(names, 0.5)}
    assert families([line]) == {
        "chamfer": ["chamfer"],
        "iou": ["iou", "iou_alpha_1", "iou_visible_only"],
        "psnr": ["psnr", "psnr_of_mean"],
    }
