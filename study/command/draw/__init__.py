"""A page on which one draws a digit while the study's networks read it."""
