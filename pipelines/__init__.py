"""Training, completion and evaluation, and the geometry and sampling they share."""
