"""Grey levels to prepared images or crops, kept as a checked set."""
