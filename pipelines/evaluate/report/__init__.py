"""What a person reads: tables, plots, and the same as JSON."""
