"""The folder runs/NAME: its files, each with its schema, and who may write to them."""
