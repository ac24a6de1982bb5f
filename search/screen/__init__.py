"""What a person sees while it works."""
