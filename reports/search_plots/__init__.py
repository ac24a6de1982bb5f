"""Pictures and importances of a search, from its trials."""
