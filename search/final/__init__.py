"""What follows the search: retraining, the held-out reading, saliency, localisation, the report."""
