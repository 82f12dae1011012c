"""Command line: ``python -m aeutils run NOTEBOOK... [-p NAME VALUE]... [--out DIR]``, and ``refresh`` for maintainers."""

import argparse
import sys
from pathlib import Path

from aeutils import runs


def main(argv=None):
    """Run a command and return its exit code: 0 done, 1 a notebook failed, 2 refused before anything ran."""
    parser = argparse.ArgumentParser(prog="python -m aeutils", description="Run the autoencoder notebooks.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="execute notebooks, render them to HTML and show their figures")
    run.add_argument(
        "notebooks", nargs="*", metavar="NOTEBOOK", help="path, or number such as 01 (default: every numbered notebook)"
    )
    run.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="set a parameter of the notebook",
    )
    run.add_argument(
        "--out", type=Path, default=Path("runs/latest"), metavar="DIR", help="folder for the results (default: %(default)s)"
    )
    refresh = commands.add_parser("refresh", help="for maintainers: execute notebooks and their solutions in place")
    refresh.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="as for run")
    arguments = parser.parse_args(argv)
    if arguments.command == "refresh":
        return _refresh(arguments.notebooks)
    return _run(arguments.notebooks, arguments.parameter, arguments.out)


def _refresh(names):
    try:
        lessons = runs.find_notebooks(names)
    except OSError as error:
        print(f"Nothing was run: {error}", file=sys.stderr)
        return 2
    solutions = [lesson.parent / "solutions" / f"{lesson.stem}_solutions.ipynb" for lesson in lessons]
    for path in lessons + [path for path in solutions if path.exists()]:
        print(path.name, flush=True)
        try:
            runs.refresh_notebook(path)
        except Exception as error:  # whatever a cell or its kernel may raise; the file is as it was
            print(f"{path.name} was left as it was: {error}", file=sys.stderr)
            return 1
    return 0


def _run(names, given, out):
    try:
        notebooks = runs.find_notebooks(names)
        values = runs.assign_parameters(notebooks, given)
        out.mkdir(parents=True, exist_ok=True)
    except (runs.ParameterError, OSError) as error:  # NotebookNotFoundError is an OSError too
        print(f"Nothing was run: {error}", file=sys.stderr)
        return 2

    failures = {}
    for number, (path, parameters) in enumerate(zip(notebooks, values), start=1):
        print(
            f"[{number}/{len(notebooks)}] {path.name}", *(f"{name}={value!r}" for name, value in parameters.items()), flush=True
        )
        if left_out := {name for name, _ in given} - set(parameters):
            print(f"      it has no parameter {', '.join(sorted(left_out))}; left out")
        try:
            failure = runs.run_notebook(path, parameters, out)
            index = runs.write_index(out)
        except KeyboardInterrupt:
            print(f"\nStopped in {path.name}; finished notebooks are in {out}.", file=sys.stderr)
            return 130
        except OSError as error:  # a full disk, a folder that went away
            failure, index = f"writing its pages: {error}", out / "index.html"
        if failure:
            failures[path.stem] = failure

    stems = {path.stem for path in notebooks}
    if done := [run for run in runs.collect_runs(out) if run["notebook"] in stems]:
        print(f"\n{runs.format_table(done)}\n\nPages: {index}")
    for stem, failure in failures.items():
        print(f"{stem} failed in {failure}", file=sys.stderr)
        if (kept := out / f"{stem}.ipynb").exists():
            print(f"  the notebook, as far as it came: {kept}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
