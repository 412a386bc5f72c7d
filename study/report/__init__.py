"""The report: every number computed once into `report.json`, and one self-contained page drawn from it.

Files only: no torch, no database.
"""
