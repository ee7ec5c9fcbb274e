"""The shard format that the generator writes and the training half reads. README.md states the conventions."""
