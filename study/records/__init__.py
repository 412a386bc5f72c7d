"""What a study's files hold. No torch, no Optuna."""
