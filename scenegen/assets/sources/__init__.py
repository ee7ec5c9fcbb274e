"""Collections of raw assets: each module lists the models of a local folder or archive as `RawAsset` items."""
