"""Collections of raw assets: each module turns a local folder or archive into `RawAsset` items."""
