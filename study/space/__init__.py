"""Search spaces: the grammar of their files, drawing configurations, rows for people."""
