"""Complete runs beside each other: what each says of the same women and the same folds, against the first."""
