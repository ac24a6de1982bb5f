"""Boundary: the frozen trunk runs once: views, bank plan, store, values, trunk."""
