"""What speaks with the user: verbs and flags, tables, progress, status, doctor, dashboard."""
