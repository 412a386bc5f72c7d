"""Arithmetic on arrays: tests, intervals, scores. No file is read here."""
