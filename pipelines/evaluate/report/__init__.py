"""What a person reads: tables and plots, and the same figures as JSON."""
