"""Bytes of one image file to grey levels."""
