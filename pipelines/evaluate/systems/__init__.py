"""What can be judged: baselines, and what other projects write; each behind `records.System`."""
