"""The commands ``run``, ``sweep``, ``report``, ``parameters``, ``import`` and ``refresh`` of ``python -m aeutils``."""

import signal
import sys
from contextlib import contextmanager
from pathlib import Path

from aeutils.errors import UserError
from aeutils.running import execution, parameters, sources

ONE = "path, or number such as 01"
SEVERAL = f"{ONE} (default: every numbered notebook)"
METRIC = "the recorded metric that the plot shows (default: the first)"


def add_to(subparsers):
    """Add the commands to an argument parser; each sets ``run_command``, a function of the parsed arguments."""
    setting = {"nargs": 2, "action": "append", "default": [], "metavar": ("NAME", "VALUE")}

    run = subparsers.add_parser("run", help="execute notebooks, render them to HTML and show their figures")
    run.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help=SEVERAL)
    run.add_argument("-p", "--parameter", **setting, help="set a parameter of the notebook")
    run.add_argument(
        "--out", type=Path, default=Path("runs/latest"), metavar="DIR", help="folder for the results (default: %(default)s)"
    )
    run.set_defaults(run_command=run_notebooks)

    sweep = subparsers.add_parser(
        "sweep",
        help="run one notebook with many parameter values; the same command again runs what is not finished",
        description="Every run becomes an executed notebook in DIR; summary.html and summary.csv show them all. "
        "What is finished is not run again.",
    )
    sweep.add_argument("notebook", metavar="NOTEBOOK", help=ONE)
    grid_help = "values such as latent_dim=2,8,32 or seed=0..4 (both ends)"
    sweep.add_argument("--grid", action="append", default=[], metavar="NAME=VALUES", help=grid_help)
    rows_help = "YAML list, one row of parameters a run; 'name' labels a row"
    sweep.add_argument("--from", dest="rows", type=Path, metavar="FILE", help=rows_help)
    sweep.add_argument("-p", "--parameter", **setting, help="set a parameter in every run")
    sweep.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the runs")
    sweep.add_argument("--workers", type=int, default=None, metavar="N", help="runs at a time on this machine (default: 1)")
    scheduler_help = "run on the workers of this Dask scheduler, such as tcp://10.0.0.1:8786"
    sweep.add_argument("--scheduler", metavar="ADDRESS", help=scheduler_help)
    rerun_help = "run only what failed, or everything, again (default: all that is not finished)"
    sweep.add_argument("--rerun", choices=["failed", "all"], help=rerun_help)
    sweep.add_argument("--metric", metavar="NAME", help=METRIC)
    sweep.add_argument("--dry-run", action="store_true", help="check and show the runs, and stop there")
    sweep.set_defaults(run_command=run_sweep)

    report = subparsers.add_parser("report", help="write summary.html and summary.csv of a folder again from its notebooks")
    report.add_argument("folder", type=Path, metavar="DIR")
    report.add_argument("--metric", metavar="NAME", help=METRIC)
    report.set_defaults(run_command=write_report)

    known = subparsers.add_parser("parameters", help="list what can be set in a notebook")
    known.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help=SEVERAL)
    known.set_defaults(run_command=show_parameters)

    own = subparsers.add_parser(
        "import",
        help="make a .npz file for the notebooks from your own pictures or table",
        description="SOURCE is a folder of pictures, in which each sub-folder is a class, or a table (CSV), in which each row is an "
        "example. OUT.npz is written as a whole or not at all. Examples are drawn in OUT.png. What is left out is named, and listed "
        "in OUT_left_out.txt.",
    )
    own.add_argument("source", type=Path, metavar="SOURCE", help="folder of pictures, or table")
    own.add_argument("out", type=Path, metavar="OUT.npz", help="file to write")
    own.add_argument("--size", type=int, metavar="N", help="pictures: height and width in pixels (default: 32)")
    own.add_argument("--grey", action="store_true", help="pictures: without colours")
    label_help = "table: column of the classes; its name, or its number counted from 0, or -1 for the last (default: no classes)"
    own.add_argument("--label", metavar="COLUMN", help=label_help)
    table_help = "table: every column has a unit of its own (default: a row is one curve)"
    own.add_argument("--table", action="store_true", help=table_help)
    own.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the test part (default: %(default)s)")
    share_help = "share of each class that becomes the test part (default: %(default)s)"
    own.add_argument("--test-share", type=float, default=0.2, metavar="SHARE", help=share_help)
    own.add_argument("--force", action="store_true", help="replace an earlier OUT.npz")
    own.set_defaults(run_command=import_data)

    refresh = subparsers.add_parser("refresh", help="for maintainers: execute notebooks and their solutions in place")
    refresh.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help=SEVERAL)
    refresh.set_defaults(run_command=refresh_notebooks)


@contextmanager
def stoppable():
    """Treat SIGTERM as Ctrl-C inside the block."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _find_sources(names):
    for line in sources.describe_renumbered(names):
        print(line, file=sys.stderr)
    return sources.find_sources(names)


def run_notebooks(arguments):
    """Run notebooks one after the other; one that fails does not stop the others."""
    from aeutils.running import reports

    out, given = arguments.out, arguments.parameter
    try:
        found = _find_sources(arguments.notebooks)
        values = parameters.assign_parameters(found, given)
        refused = {}
        for source, assigned in zip(found, values):
            try:
                parameters.check_values(source, assigned)
            except UserError as error:
                refused[source] = error
                if len(found) == 1 or isinstance(error, parameters.ParameterError):
                    raise
        if len(refused) == len(found):  # own data that no notebook can use
            raise refused[found[0]]
        out.mkdir(parents=True, exist_ok=True)
    except (UserError, OSError) as error:
        print(f"Nothing was run: {error}", file=sys.stderr)
        return 2

    failures = {}
    for number, (source, assigned) in enumerate(zip(found, values), start=1):
        if source in refused:
            print(f"[{number}/{len(found)}] {source.path.name} is left out: {refused[source]}", flush=True)
            continue
        settings = (f"{name}={value!r}" for name, value in assigned.items())
        print(f"[{number}/{len(found)}] {source.path.name}", *settings, flush=True)
        if left_out := {name for name, _ in given} - set(assigned):
            print(f"      it has no parameter {', '.join(sorted(left_out))}; left out")
        try:
            outcome = execution.run_notebook(source, assigned, out)
            index = reports.write_index(out)
        except KeyboardInterrupt:
            print(f"\nStopped in {source.path.name}; finished notebooks are in {out}.", file=sys.stderr)
            return 130
        except OSError as error:  # a full disk, a folder that was removed
            outcome, index = execution.Outcome("disk", "writing its pages", str(error)), out / "index.html"
        if not outcome.finished:
            failures[source.path.stem] = outcome

    stems = {source.path.stem for source in found if source not in refused}
    if done := [record for record in reports.read_runs(out) if record.name in stems]:
        print(f"\n{reports.format_table(done)}\n\nPages: {index}")
    for stem, outcome in failures.items():
        print(f"{stem} failed in {outcome}", file=sys.stderr)
        if (kept := out / f"{stem}.ipynb").exists():
            print(f"  the notebook, as far as it came: {kept}", file=sys.stderr)
    return 1 if failures or refused else 0


def show_parameters(arguments):
    """List the parameters of notebooks."""
    try:
        print(parameters.list_parameters(_find_sources(arguments.notebooks)))
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def import_data(arguments):
    """Make a data set of the user's own pictures or table, and describe it."""
    import matplotlib

    from aeutils import imports

    matplotlib.use("Agg")  # no window
    source, out = arguments.source, arguments.out
    common = {"seed": arguments.seed, "test_share": arguments.test_share, "force": arguments.force}
    is_written = False
    try:
        with stoppable():
            if source.is_dir():
                if arguments.label is not None or arguments.table:
                    raise imports.DataImportError(
                        f"--label and --table are for tables, and {source} is a folder; expected --size, --grey or nothing. The "
                        "classes of pictures are the sub-folders"
                    )
                size = 32 if arguments.size is None else arguments.size
                result = imports.import_folder(source, out, size, grey=arguments.grey, **common)
            else:
                if source.is_file() and (arguments.size is not None or arguments.grey):
                    raise imports.DataImportError(
                        f"--size and --grey are for folders of pictures, and {source} is a file; expected --label, --table or nothing"
                    )
                kind = "table" if arguments.table else "series"
                result = imports.import_table(source, out, label=arguments.label, kind=kind, **common)
            is_written = True
            print(f"{result}\n\n{imports.describe(out, result.names)}")
    except KeyboardInterrupt:
        print(f"\nStopped; {f'{out} is complete' if is_written else 'nothing was written'}.", file=sys.stderr)
        return 130
    except (UserError, OSError) as error:
        print(f"{f'{out} is complete, but: ' if is_written else 'Nothing was written: '}{error}", file=sys.stderr)
        return 2
    return 0


def refresh_notebooks(arguments):
    """Execute notebooks and their solutions in place."""
    try:
        lessons = sources.find_notebooks(arguments.notebooks)
    except OSError as error:
        print(f"Nothing was run: {error}", file=sys.stderr)
        return 2
    solutions = [lesson.parent / "solutions" / f"{lesson.stem}_solutions.ipynb" for lesson in lessons]
    for path in lessons + [path for path in solutions if path.exists()]:
        print(path.name, flush=True)
        try:
            execution.refresh_notebook(path)
        except Exception as error:  # anything that a cell or its kernel may raise; the file is unchanged
            print(f"{path.name} was left as it was: {error}", file=sys.stderr)
            return 1
    return 0


def write_report(arguments):
    """Write table and plot of a folder of executed notebooks."""
    from aeutils.running import reports

    folder = arguments.folder
    try:
        print(f"Summary: {reports.write_report(reports.read_runs(folder), folder, arguments.metric)}")
    except (UserError, OSError) as error:
        print(f"Nothing was written: {error}", file=sys.stderr)
        return 2
    return 0


def run_sweep(arguments):
    """Run what is not finished of a sweep, and write its table and plot after every run."""
    from aeutils.running import sweeps

    try:
        if arguments.workers is not None and (arguments.workers < 1 or arguments.scheduler):
            raise parameters.ParameterError(
                "--workers: expected 1 or more, and not together with --scheduler, whose workers are already there"
            )
        (source,) = _find_sources([arguments.notebook])
        if malformed := [text for text in arguments.grid if "=" not in text]:
            raise parameters.ParameterError(f"--grid {malformed[0]}: expected NAME=VALUES, such as latent_dim=2,8,32")
        grids = [tuple(text.split("=", 1)) for text in arguments.grid]
        planned = sweeps.plan_runs(source, grids, arguments.rows, arguments.parameter)
        status = sweeps.find_statuses(planned, arguments.out, source)
        wanted = {None: ("missing", "failed"), "failed": ("failed",), "all": ("missing", "failed", "finished")}[arguments.rerun]
        todo = [run for run in planned if status[run.name] in wanted]
        _show_plan(source, planned, status, todo, verbose=arguments.dry_run)
        if arguments.dry_run:
            return 0
        arguments.out.mkdir(parents=True, exist_ok=True)
        executor = (
            sweeps.dask_executor(arguments.scheduler) if arguments.scheduler else sweeps.local_executor(arguments.workers or 1)
        )
        with stoppable(), sweeps.lock_folder(arguments.out), executor as (pool, threads, stop):
            return _report_sweep(sweeps.run_sweep(source, todo, arguments.out, pool, threads, stop), todo, arguments)
    except KeyboardInterrupt:
        print(f"\nStopped; finished runs are in {arguments.out}. The same command goes on from there.", file=sys.stderr)
        return 130
    except (UserError, OSError) as error:
        print(f"Nothing was run: {error}", file=sys.stderr)
        return 2


def _show_plan(source, planned, status, todo, verbose):
    n_finished = sum(status[run.name] == "finished" for run in planned)
    print(f"{source.path.name}: {len(planned)} planned, {n_finished} finished before, {len(todo)} to run")
    values = {}
    for run in planned:
        for name, value in run.parameters.items():
            values.setdefault(name, {})[repr(value)] = None
    for name, texts in values.items():
        shown = list(texts) if len(texts) <= 12 else [*list(texts)[:10], "...", list(texts)[-1]]
        print(f"  {name}: {', '.join(shown)}")
    for run in planned if verbose else []:
        print(f"  {status[run.name]:<8}  {run.name}")


def _report_sweep(events, todo, arguments):
    """Follow a sweep to its end: a line and a new report after every run."""
    from aeutils.progress import Progress
    from aeutils.running import reports, sweeps

    out, metric = arguments.out, arguments.metric
    records = {record.name: record for record in reports.read_runs(out)}
    failures = {}
    bar = Progress(len(todo), "Sweep", "run")
    try:
        for number, (run, outcome, record) in enumerate(events, start=1):
            records[run.name] = record
            if not outcome.finished:
                failures[run.name] = outcome
            left = len(todo) - number
            try:
                reports.write_report(list(records.values()), out, metric, left)
            except reports.ReportError as error:
                print(f"{error}; the plot shows the first one", file=sys.stderr)
                metric = None
                reports.write_report(list(records.values()), out, metric, left)
            bar.write(f"[{number}/{len(todo)}] {run.name}: {record.headline if outcome.finished else f'FAILED in {outcome}'}")
            bar.set_postfix({"failed": len(failures), "left": left}, refresh=False)
            bar.update()
        if not todo and records:
            reports.write_report(list(records.values()), out, metric)
    except (sweeps.SweepError, OSError) as error:
        print(f"Stopped: {error}\nThe same command goes on from there.", file=sys.stderr)
        return 1
    finally:
        events.close()  # kills the kernels, whatever happened
        bar.close()
    print(f"Summary: {out / 'summary.html'}")
    for name, outcome in failures.items():
        print(f"{name} failed in {outcome}", file=sys.stderr)
    return 1 if failures else 0
