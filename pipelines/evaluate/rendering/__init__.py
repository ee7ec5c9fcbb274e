"""Image metrics: renders of predictions, from visible and unseen views, against clean renders of the truth."""
