"""`python -m gateway`: the command line, also where the `gateway` script is not on the path."""

from gateway.cli import main

main()
