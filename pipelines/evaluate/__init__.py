"""How good are completed scenes: metrics, robustness sweeps, comparisons. See README.md."""
