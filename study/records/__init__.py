"""What a study's files hold, and how they are read and written whole. No torch, no Optuna."""
