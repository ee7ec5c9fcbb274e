"""A system is asked to complete a test set under one condition, and its answers are scored."""
