"""scenegen: procedural scenes with exact ground truth, from an asset manifest to Parquet shards."""

__version__ = "0.1.0"
