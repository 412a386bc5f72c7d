"""Data sets: load, verify, split, augment, explore."""
