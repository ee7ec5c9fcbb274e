"""Static HTML pages of results: a file without any library, which opens from disk and can be copied with its folder."""
