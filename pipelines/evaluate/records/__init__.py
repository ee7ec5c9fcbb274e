"""Plain data that the rooms of evaluation share: shapes, systems, ground truth, options."""
