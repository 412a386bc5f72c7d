"""One command's work: the request, the session, the plan, and the stages from the search to the report."""
