"""The shard format that the generator writes and the training half reads. See README.md for the conventions."""
