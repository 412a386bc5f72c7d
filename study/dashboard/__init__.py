"""What optuna-dashboard shows of a study beside the trials of its search: retraining, notes, figures, pictures."""
