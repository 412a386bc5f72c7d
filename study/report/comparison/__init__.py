"""Two or more finished studies on one page: `compare.json` and `compare.html`, built as the report is.

`entries` finds and reads the studies, each with the parts of its own report; `groups`, `studies`, `facts` and `spaces`
are what several of the `sections` ask for; `page` writes both files. No torch, no database.
"""
