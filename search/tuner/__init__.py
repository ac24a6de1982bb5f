"""Which trial is next, and where it runs."""
