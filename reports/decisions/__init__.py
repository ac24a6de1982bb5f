"""From scores to decisions: corrected probabilities, thresholds from out-of-fold scores, the decision curve."""
