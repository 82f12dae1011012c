"""Command line: ``python -m aeutils run | sweep | report | parameters``, ``assignments | grade`` for teachers, ``refresh`` for maintainers."""

import argparse
import signal
import sys
from pathlib import Path

from aeutils import runs


def main(argv=None):
    """Run a command and return its exit code: 0 done, 1 a notebook failed, 2 refused before anything ran, 130 stopped."""
    arguments = _parser().parse_args(argv)
    if arguments.command == "refresh":
        return _refresh(arguments.notebooks)
    if arguments.command == "parameters":
        return _parameters(arguments.notebooks)
    if arguments.command == "sweep":
        return _sweep(arguments)
    if arguments.command == "report":
        return _report(arguments.folder, arguments.metric)
    if arguments.command == "assignments":
        return _assignments(arguments.assignments, arguments.out, arguments.sources)
    if arguments.command == "grade":
        return _grade(arguments)
    return _run(arguments.notebooks, arguments.parameter, arguments.out)


def _parser():
    parser = argparse.ArgumentParser(prog="python -m aeutils", description="Run the autoencoder notebooks.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = "path, or number such as 01"
    several = f"{one} (default: every numbered notebook)"
    setting = {"nargs": 2, "action": "append", "default": [], "metavar": ("NAME", "VALUE")}

    run = commands.add_parser("run", help="execute notebooks, render them to HTML and show their figures")
    run.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help=several)
    run.add_argument("-p", "--parameter", **setting, help="set a parameter of the notebook")
    run.add_argument(
        "--out", type=Path, default=Path("runs/latest"), metavar="DIR", help="folder for the results (default: %(default)s)"
    )

    sweep = commands.add_parser(
        "sweep",
        help="run one notebook with many parameter values; the same command again runs what is not finished",
        description="Every run becomes an executed notebook in DIR; summary.html and summary.csv show them all. What is finished is not run again.",
    )
    sweep.add_argument("notebook", metavar="NOTEBOOK", help=one)
    sweep.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="values such as latent_dim=2,8,32 or seed=0..4 (both ends)",
    )
    sweep.add_argument(
        "--from", dest="rows", type=Path, metavar="FILE", help="YAML list, one row of parameters a run; 'name' labels a row"
    )
    sweep.add_argument("-p", "--parameter", **setting, help="set a parameter in every run")
    sweep.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the runs")
    sweep.add_argument("--workers", type=int, default=None, metavar="N", help="runs at a time on this machine (default: 1)")
    sweep.add_argument(
        "--scheduler", metavar="ADDRESS", help="run on the workers of this Dask scheduler, such as tcp://10.0.0.1:8786"
    )
    sweep.add_argument(
        "--rerun",
        choices=["failed", "all"],
        help="run only what failed, or everything, again (default: all that is not finished)",
    )
    sweep.add_argument("--metric", metavar="NAME", help="the recorded metric that the plot shows (default: the first)")
    sweep.add_argument("--dry-run", action="store_true", help="check and show the runs, and stop there")

    report = commands.add_parser("report", help="write summary.html and summary.csv of a folder anew from its notebooks")
    report.add_argument("folder", type=Path, metavar="DIR")
    report.add_argument("--metric", metavar="NAME", help="the recorded metric that the plot shows (default: the first)")

    parameters = commands.add_parser("parameters", help="list what can be set in a notebook")
    parameters.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help=several)

    assignments = commands.add_parser("assignments", help="for teachers: make student versions, a zip each, with nbgrader")
    assignments.add_argument("assignments", nargs="*", metavar="ASSIGNMENT", help="number such as 01 (default: all)")
    assignments.add_argument(
        "--out",
        type=Path,
        default=Path("runs/assignments"),
        metavar="DIR",
        help="course folder of nbgrader's (default: %(default)s)",
    )

    private = {"type": Path, "metavar": "DIR", "help": "folder of your own source assignments (default: notebooks/assignments)"}
    assignments.add_argument("--sources", **private)

    grade = commands.add_parser(
        "grade",
        help="for teachers: grade a folder of submissions with nbgrader, contained; the same command again grades what changed",
    )
    grade.add_argument("submissions", type=Path, metavar="DIR", help="folder with one notebook a student, ID.ipynb")
    grade.add_argument("--assignment", default="01", metavar="ASSIGNMENT", help="number of the assignment (default: %(default)s)")
    grade.add_argument(
        "--out", type=Path, default=None, metavar="DIR", help="folder for grades and feedback (default: runs/grades/ASSIGNMENT)"
    )
    grade.add_argument("--workers", type=int, default=2, metavar="N", help="submissions at a time (default: %(default)s)")
    grade.add_argument(
        "--timeout", type=float, default=600, metavar="SECONDS", help="for one submission, all together (default: %(default)s)"
    )

    grade.add_argument("--sources", **private)
    grade.add_argument("--retry", action="store_true", help="try again what could not be graded, also where nothing has changed")
    grade.add_argument(
        "--uncontained", action="store_true", help="grade also where nothing but limits contains students' code (see the README)"
    )

    refresh = commands.add_parser("refresh", help="for maintainers: execute notebooks and their solutions in place")
    refresh.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help=several)
    return parser


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


def _assignments(names, out, sources):
    from aeutils import classroom

    try:
        for path in classroom.make_assignments(names, out, sources):
            print(path)
    except (ImportError, classroom.ClassroomError, OSError) as error:
        print(f"Not everything was made: {_explain(error)}", file=sys.stderr)
        return 2
    return 0


def _grade(arguments):
    from aeutils import classroom, grading, sandbox
    from aeutils.progress import Progress

    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    try:
        if arguments.workers < 1:
            raise grading.GradingError(f"--workers: expected 1 or more, got {arguments.workers}")
        if sandbox.find_kind() == "plain" and not arguments.uncontained:
            raise grading.GradingError(
                "students' code could read, change and send whatever you can: neither bubblewrap nor namespaces work here. "
                "Install bubblewrap (apt install bubblewrap), grade in a virtual machine, or add --uncontained"
            )
        (source,) = classroom.find_assignments([arguments.assignment], arguments.sources)
        out = arguments.out or Path("runs/grades") / source.name
        n = sum(not path.name.startswith(".") for path in arguments.submissions.iterdir())
        print(f"{source.name}: {n} in {arguments.submissions}; containment: {sandbox.find_kind()}")
        watch = grading.Watch(seconds=arguments.timeout)
        bar = Progress(n, "Grading", "submission")
        counts = {"graded": 0, "kept": 0, "not graded": 0}
        try:
            for outcome in grading.grade_folder(
                arguments.submissions, source.name, out, arguments.workers, watch, arguments.sources, arguments.retry
            ):
                if outcome.result is None:
                    counts["not graded"] += 1
                    bar.write(f"{outcome.name}: NOT GRADED, {outcome.refused}")
                elif outcome.fresh:
                    counts["graded"] += 1
                    points, possible = outcome.points
                    bar.write(f"{outcome.name}: {points:g} of {possible:g} points in {outcome.seconds:.0f} s")
                else:
                    counts["kept"] += 1
                bar.update()
        finally:
            bar.close()
    except KeyboardInterrupt:
        print("\nStopped; what is graded is kept. The same command goes on from there.", file=sys.stderr)
        return 130
    except (ImportError, grading.GradingError, classroom.ClassroomError, OSError) as error:
        print(f"Stopped: {_explain(error)}", file=sys.stderr)
        return 2
    finally:
        signal.signal(signal.SIGTERM, previous)
    print(", ".join(f"{number} {what}" for what, number in counts.items()))
    print(f"Grades: {out / grading.GRADES}\nPages for students: {out / 'feedback'}")
    if counts["not graded"]:
        print(f"Not graded, and why: {out / grading.REFUSED}")
    if (out / grading.WRITTEN).exists():
        print(f"Answers to read: put points into {out / grading.WRITTEN} and give the same command again")
    return 0


def _explain(error):
    if isinstance(error, ImportError):
        return f"{error}; assignments need nbgrader: python -m pip install -c constraints.txt -e '.[classroom]'"
    return str(error)


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


def _parameters(names):
    try:
        print(runs.list_parameters({path: runs.read_parameters(path) for path in runs.find_notebooks(names)}))
    except (runs.ParameterError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _report(folder, metric):
    from aeutils import reports

    try:
        print(f"Summary: {reports.write_report(reports.read_rows(folder), folder, metric)}")
    except (reports.ReportError, OSError) as error:
        print(f"Nothing was written: {error}", file=sys.stderr)
        return 2
    return 0


def _sweep(arguments):
    from aeutils import sweeps

    try:
        if arguments.workers is not None and (arguments.workers < 1 or arguments.scheduler):
            raise runs.ParameterError(
                "--workers: expected 1 or more, and not together with --scheduler, whose workers are already there"
            )
        (notebook,) = runs.find_notebooks([arguments.notebook])
        if malformed := [text for text in arguments.grid if "=" not in text]:
            raise runs.ParameterError(f"--grid {malformed[0]}: expected NAME=VALUES, such as latent_dim=2,8,32")
        planned = sweeps.plan_runs(
            notebook, [tuple(text.split("=", 1)) for text in arguments.grid], arguments.rows, arguments.parameter
        )
        status = sweeps.find_statuses(planned, arguments.out, notebook)
        wanted = {None: ("missing", "failed"), "failed": ("failed",), "all": ("missing", "failed", "finished")}[arguments.rerun]
        todo = [run for run in planned if status[run.name] in wanted]
        _show_plan(notebook, planned, status, todo, verbose=arguments.dry_run)
        if arguments.dry_run:
            return 0
        arguments.out.mkdir(parents=True, exist_ok=True)
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
        try:
            with sweeps.lock_folder(arguments.out), _executor(arguments) as (executor, threads, stop):
                return _run_sweep(
                    sweeps.run_sweep(notebook, todo, arguments.out, executor, threads, stop), planned, todo, arguments
                )
        finally:
            signal.signal(signal.SIGTERM, previous)
    except KeyboardInterrupt:
        print(f"\nStopped; finished runs are in {arguments.out}. The same command goes on from there.", file=sys.stderr)
        return 130
    except (runs.ParameterError, sweeps.SweepError, OSError) as error:
        print(f"Nothing was run: {error}", file=sys.stderr)
        return 2


def _executor(arguments):
    from aeutils import sweeps

    return sweeps.dask_executor(arguments.scheduler) if arguments.scheduler else sweeps.local_executor(arguments.workers or 1)


def _show_plan(notebook, planned, status, todo, verbose):
    n_finished = sum(status[run.name] == "finished" for run in planned)
    print(f"{notebook.name}: {len(planned)} planned, {n_finished} finished before, {len(todo)} to run")
    values = {}
    for run in planned:
        for name, value in run.parameters.items():
            values.setdefault(name, {})[repr(value)] = None
    for name, texts in values.items():
        shown = list(texts) if len(texts) <= 12 else [*list(texts)[:10], "...", list(texts)[-1]]
        print(f"  {name}: {', '.join(shown)}")
    for run in planned if verbose else []:
        print(f"  {status[run.name]:<8}  {run.name}")


def _run_sweep(events, planned, todo, arguments):
    from aeutils import reports, sweeps
    from aeutils.progress import Progress

    out, metric = arguments.out, arguments.metric
    rows = {row["run"]: row for row in reports.read_rows(out)}
    failures = {}
    bar = Progress(len(todo), "Sweep", "run")
    try:
        for number, (run, failure) in enumerate(events, start=1):
            row = reports.make_row(out / f"{run.name}.ipynb")
            rows[run.name] = row
            if failure:
                failures[run.name] = failure
            left = len(todo) - number
            try:
                reports.write_report(list(rows.values()), out, metric, left)
            except reports.ReportError as error:
                print(f"{error}; the plot shows the first one", file=sys.stderr)
                metric = None
                reports.write_report(list(rows.values()), out, metric, left)
            outcome = f"FAILED in {failure}" if failure else runs.headline({name: row[name] for name in row["_metrics"]})
            bar.write(f"[{number}/{len(todo)}] {run.name}: {outcome}")
            bar.set_postfix({"failed": len(failures), "left": left}, refresh=False)
            bar.update()
        if not todo and rows:
            reports.write_report(list(rows.values()), out, metric)
    except (sweeps.SweepError, OSError) as error:
        print(f"Stopped: {error}\nThe same command goes on from there.", file=sys.stderr)
        return 1
    finally:
        events.close()  # ends the kernels, whatever happened
        bar.close()
    print(f"Summary: {out / 'summary.html'}")
    for name, failure in failures.items():
        print(f"{name} failed in {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
