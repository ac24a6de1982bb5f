"""An exported model: assembled, described, written in a format, and opened again."""
