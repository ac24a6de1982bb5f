"""Pages that a person opens: report.html, the model card, TensorBoard's events."""
