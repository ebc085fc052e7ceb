"""`python -m perene`."""

from perene.cli.main import main

main()
