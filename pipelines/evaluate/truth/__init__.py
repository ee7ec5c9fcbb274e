"""Ground truth: each test set in its own file, behind the protocol `TruthSet`."""
