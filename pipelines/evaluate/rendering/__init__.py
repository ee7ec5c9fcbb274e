"""How predictions look: renders on visible and on unseen views against clean renders of the truth."""
