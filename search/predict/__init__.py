"""An exported model at work: films, rows, overlays, labelled sets, evaluation."""
