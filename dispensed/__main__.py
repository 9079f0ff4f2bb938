"""`python -m dispensed` and the console script."""

from dispensed.cli.main import cli


def main() -> None:
    """Run the command line."""
    cli(prog_name="dispensed")


if __name__ == "__main__":
    main()
