"""Command line: ``python -m aeutils run | sweep | report | parameters | import | assignments | grade | refresh``."""

import argparse
import sys

import aeutils.classroom.commands
import aeutils.running.commands


def main(argv=None):
    """Run a command and return its exit code: 0 done, 1 a notebook failed, 2 refused before anything ran, 130 stopped."""
    parser = argparse.ArgumentParser(prog="python -m aeutils", description="Run the autoencoder notebooks.")
    subparsers = parser.add_subparsers(dest="command", required=True)
    aeutils.running.commands.add_to(subparsers)
    aeutils.classroom.commands.add_to(subparsers)
    arguments = parser.parse_args(argv)
    return arguments.run_command(arguments)


if __name__ == "__main__":
    sys.exit(main())
