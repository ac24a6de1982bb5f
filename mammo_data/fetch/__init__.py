"""The download of the MIAS archive, and what carries out any download: it goes on, within bounds of size and time."""
