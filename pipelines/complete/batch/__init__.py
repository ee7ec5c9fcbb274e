"""Many pictures with one command: `fixer-complete --batch`."""
