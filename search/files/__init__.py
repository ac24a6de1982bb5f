"""State that is there whole or not at all: atomic files, checked arrays, digests."""
