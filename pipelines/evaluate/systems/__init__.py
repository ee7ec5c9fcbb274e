"""What can be judged: our system, baselines, and files of predictions; each behind the protocol `System`."""
