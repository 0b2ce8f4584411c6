"""`python -m alma_cli` is the `alma` command."""

from alma_cli.cli import main

if __name__ == "__main__":
    main()
