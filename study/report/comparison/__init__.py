"""Two or more finished studies on one page: `compare.json` and `compare.html` by the means of the report.

`entries` finds and reads the studies, `protocol` says what differs, `numbers` computes, `sentences` and `limits` put
it into words, `figures` and `cells` draw it, `page` writes both files. No torch, no database.
"""
