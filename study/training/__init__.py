"""Training of one configuration; knows nothing of Optuna."""
