"""The web page of `fixer-complete --serve`: HTTP around one pipeline, with a queue and no shared state."""
