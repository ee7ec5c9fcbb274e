"""One call of the pipeline: all instances through the steps, in batches, timed and tracked."""
