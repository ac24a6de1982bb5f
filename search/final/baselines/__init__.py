"""What a search has to beat: models that need none, judged on the same folds and the same held-out patients."""
