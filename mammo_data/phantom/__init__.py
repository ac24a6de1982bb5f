"""Synthetic films in exact MIAS format."""
