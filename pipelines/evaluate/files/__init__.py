"""Reading files that other programs wrote."""
