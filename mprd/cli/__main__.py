"""`python -m mprd.cli`."""

from mprd.cli import main

main()
