"""The download of the MIAS archive."""
