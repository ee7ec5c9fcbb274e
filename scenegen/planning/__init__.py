"""What a machine can do, and what a dataset takes on it: measured and stored, or estimated in seconds."""
