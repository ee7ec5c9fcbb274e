"""What the training loop, the data path and the stages know of each other."""
