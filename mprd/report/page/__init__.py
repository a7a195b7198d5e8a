"""`report.html`: a run to look at, one self-contained page."""
