"""Numbers under weights, and their intervals."""
