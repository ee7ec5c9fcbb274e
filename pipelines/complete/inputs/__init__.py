"""What users have on disk → what the pipeline is shown."""
