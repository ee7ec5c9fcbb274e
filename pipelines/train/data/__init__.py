"""From shards to batches, off the training process."""
