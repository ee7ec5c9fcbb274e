"""Other people's model files: looked at, put right and told apart before an importer sees them."""
