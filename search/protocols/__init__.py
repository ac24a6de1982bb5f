"""The whole job: hold-out, nested, audit alone, and what it will take."""
