"""The search: one Optuna study a family, driven by ask and tell from one process."""
