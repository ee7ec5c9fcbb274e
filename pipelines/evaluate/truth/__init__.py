"""Ground truth, each test set in its own file behind `records.TruthSet`."""
