"""The nested protocol: an outer split, a whole search a fold, their joint outcome."""
