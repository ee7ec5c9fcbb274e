"""Formats of mask files, and what is wrong with them."""
