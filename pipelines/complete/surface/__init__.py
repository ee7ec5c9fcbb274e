"""What is done to a decoded surface before anyone sees it: insides go, small holes close."""
