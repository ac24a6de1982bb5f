"""`python -m search` is `mammo-search`."""

from search.cli import main

main()
