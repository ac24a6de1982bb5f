"""What leaks between the sides of a split: overlap, permutation, shortcuts."""
