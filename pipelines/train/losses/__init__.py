"""Losses per sample, shared by the stages."""
