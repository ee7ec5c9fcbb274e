"""The steps of an instance: observe, encode, structure (coarse and fine), texture, decode."""
