"""Data only: what is known of every asset that comes with the package or that it knows how to get."""
