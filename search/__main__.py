"""`python -m search` is `mammo-search`."""

from search.cli.main import main

main()
