"""Pictures and importances of a search, from the trial table."""
