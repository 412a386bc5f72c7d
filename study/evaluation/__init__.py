"""What the comparison is worth: finalists, the test split, metrics and statistics."""
