"""Training again: candidates, finalists, ablation, audit. No Optuna."""
