"""train-fixer: every training stage, from shards to checkpoints."""
