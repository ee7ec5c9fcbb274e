"""The formats of mask files, and what may be wrong with their contents."""
