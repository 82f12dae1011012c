"""Sweeps: one notebook run with many parameter values, several at a time, and resumed after an interruption."""

import ast
import hashlib
import itertools
import math
import os
import re
import tempfile
import uuid
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, CancelledError, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import nbformat

from aeutils.errors import UserError
from aeutils.files import write_whole
from aeutils.running.execution import Outcome, clear_outputs, execute, finish
from aeutils.running.parameters import ParameterError, assign_parameters, check_values, parse_value
from aeutils.running.reports import describe_run, read_run, write_html

MAX_RUNS = 5000
MAX_NAME = 120  # characters of a run's name; file systems allow 255 bytes
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
_TOKEN = "AEUTILS_SWEEP"  # environment variable that marks the kernels of a sweep


class SweepError(UserError, RuntimeError):
    """The sweep cannot start, or cannot continue."""


@dataclass(frozen=True)
class Run:
    """One planned run of a sweep: the name of its files and the values for the notebook's `parameters` cell."""

    name: str
    parameters: dict
    label: str = ""  # of its row in a list of runs


# ---- Planning ----


def plan_runs(source, grids=(), rows_file=None, fixed=()):
    """Plan all runs of a sweep and check them: every row of a list combined with every point of the grid.

    Parameters
    ----------
    source : aeutils.running.sources.Source
    grids : sequence of (str, str)
        Parameter and its values as text, such as ``("latent_dim", "2,8,32")`` or ``("seed", "0..4")``.
    rows_file : path, optional
        YAML list with one mapping of parameters to values for each row; ``name`` labels a row.
    fixed : sequence of (str, str)
        Parameters that are the same in every run.

    Returns
    -------
    list of Run
        The last grid parameter changes fastest.

    Raises
    ------
    ParameterError
        Unknown names, wrong types, values out of range, a parameter given twice, equal runs, too many runs, or nothing to
        sweep.
    aeutils.datasets.DatasetError
        The user's own data set cannot be used by the notebook.
    """
    (constant,) = assign_parameters([source], fixed)
    rows = read_rows(rows_file, source) if rows_file else [("", {})]
    axes = {}
    for name, text in grids:
        if name not in source.parameters:
            assign_parameters([source], [(name, text)])  # raises and lists the known parameters
        if name in axes:
            raise ParameterError(f"--grid {name} is given twice; write all its values in one, such as {name}={text},...")
        axes[name] = parse_values(source.parameters[name], text)
    if not axes and not rows_file:
        raise ParameterError("nothing to sweep: give at least one --grid NAME=VALUES, or a list of runs with --from FILE")
    in_rows = {name for _, values in rows for name in values}
    if doubled := sorted((set(axes) & set(constant)) | (in_rows & (set(axes) | set(constant)))):
        raise ParameterError(
            f"parameter {', '.join(doubled)} is given in two places; each belongs into one of --grid, --from and -p"
        )
    if (n := len(rows) * math.prod(map(len, axes.values()))) > MAX_RUNS:
        raise ParameterError(f"these values make {n:,} runs; expected at most {MAX_RUNS:,}: take fewer values, or several sweeps")
    planned = []
    for (label, values), point in itertools.product(rows, itertools.product(*axes.values())):
        parameters = constant | values | dict(zip(axes, point))
        planned.append(Run(name_run(source.path.stem, label, parameters), parameters, label))
    name, n = Counter(run.name.casefold() for run in planned).most_common(1)[0]
    if n > 1:
        raise ParameterError(f"{n} runs are the same: {name}; name each value and each row once")
    for run in planned:
        check_values(source, run.parameters)
    return planned


def parse_values(parameter, text):
    """Parse the values of one ``--grid`` option: ``2,8,32``, a range that includes both ends ``0..4``, or both mixed.

    Raises
    ------
    ParameterError
        No values, or some that are not of the parameter's type.
    """

    def expand(match):
        first, last = map(int, match.groups())
        if not 0 <= last - first < MAX_RUNS:
            raise ParameterError(f"--grid {parameter.name}: the range {match[0]} has to rise, over at most {MAX_RUNS:,} values")
        return ",".join(map(str, range(first, last + 1)))

    if parameter.type == "str":
        parts = text.split(",")
    else:
        expanded = re.sub(r"(?<![\d.])(-?\d+)\.\.(-?\d+)(?![\d.])", expand, text)
        try:
            listed = ast.parse(f"[{expanded}]", mode="eval").body.elts
        except (SyntaxError, ValueError, AttributeError):
            raise ParameterError(f"--grid {parameter.name}: expected values such as 2,8,32 or 0..4, got {text!r}") from None
        parts = [ast.unparse(element) for element in listed]
    if not all(parts) or not parts:
        raise ParameterError(f"--grid {parameter.name}: expected values between commas, got {text!r}")
    return [parse_value(parameter, part) for part in parts]


def read_rows(path, source):
    """Read labels and values of the rows of a YAML list of runs.

    Returns
    -------
    list of (str, dict)

    Raises
    ------
    ParameterError
        Not such a list, an unknown name or a value of the wrong type; the message names the row.
    """
    import yaml

    try:
        rows = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ParameterError(f"the list of runs cannot be read: {error}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ParameterError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) and row for row in rows):
        raise ParameterError(f"{path}: expected a list with one row of parameters a run, such as '- {{name: group-a, seed: 1}}'")
    known, checked = source.parameters, []
    for number, row in enumerate(rows, start=1):
        label = "" if "name" in known else str(row.pop("name", ""))
        try:
            for name, value in row.items():
                if known.get(name) and known[name].type == "str" and not isinstance(value, str):
                    raise ParameterError(f"parameter {name}: expected text, got {value!r}; put it in quotes")
            texts = [(str(name), value if isinstance(value, str) else repr(value)) for name, value in row.items()]
            checked.append((label, *assign_parameters([source], texts)))
        except ParameterError as error:
            raise ParameterError(f"{path}, row {number}: {error}") from None
    return checked


def name_run(stem, label, parameters):
    """Make a file name that contains all parameters; if it has to be changed or cut, a digest is added to keep it unique."""
    whole = "__".join([stem, *filter(None, [label]), *(f"{name}={value}" for name, value in parameters.items())])
    name = re.sub(r"[^\w.+=-]+", "-", re.sub(r"[\[\]']", "", whole))[:MAX_NAME]
    return name if name == whole else f"{name}__{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def find_statuses(planned, out, source):
    """Find out what a folder has of each planned run: ``finished``, ``failed`` or ``missing``.

    A run is finished if papermill ended it without an exception, with the same parameters and the same source of the
    notebook. A file that merely exists does not count.

    Returns
    -------
    dict of str to str
        By the run's name.
    """

    def status(run):
        path = Path(out) / f"{run.name}.ipynb"
        if not path.exists():
            return "missing"
        found = read_run(path)
        if found.given != run.parameters or found.source != source.digest or found.outcome.kind in ("unfinished", "unreadable"):
            return "missing"
        return "finished" if found.outcome.finished else "failed"

    return {run.name: status(run) for run in planned}


# ---- Executing ----


@contextmanager
def local_executor(workers):
    """Make an executor on this machine: each of its threads controls one kernel, which is a separate process.

    Yields
    ------
    executor : concurrent.futures.Executor
    threads : dict
        Threads for each kernel, an equal share of the cores; here for the one host ``""``.
    stop : callable
        Kills the kernels with a given token.
    """
    import joblib

    saved = {name: os.environ.get(name) for name in (*THREAD_VARIABLES, _TOKEN)}
    executor = ThreadPoolExecutor(workers)
    try:
        yield executor, {"": max(1, joblib.cpu_count() // workers)}, stop_kernels
    finally:
        executor.shutdown()
        for name, value in saved.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def dask_executor(address, timeout=10):
    """Make an executor on the workers of a running Dask scheduler; yields what `local_executor` yields.

    Raises
    ------
    SweepError
        Dask is not installed, the scheduler does not answer, it has no workers, or a worker lacks this package.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise SweepError("--scheduler needs Dask: python -m pip install -c constraints.txt -e '.[dask]'") from error
    try:
        client = Client(address, timeout=timeout)
    except (OSError, ValueError, RuntimeError) as error:
        raise SweepError(
            f"no Dask scheduler answers at {address} ({type(error).__name__}); start one with: dask scheduler"
        ) from error
    with client:
        slots = {}
        for worker, n in client.nthreads().items():
            slots[urlparse(worker).hostname] = slots.get(urlparse(worker).hostname, 0) + n
        if not slots:
            raise SweepError(f"the scheduler at {address} has no workers; start some with: dask worker {address} --nthreads 1")
        try:
            cores = {urlparse(worker).hostname: n for worker, n in client.run(_count_cores).items()}
        except Exception as error:  # whatever a worker's import raises
            raise SweepError(
                f"a Dask worker cannot import this package ({type(error).__name__}: {error}); install it there, the same version as here"
            ) from error
        threads = {host: max(1, cores.get(host, n) // n) for host, n in slots.items()}

        def stop(token):
            with suppress(Exception):  # of a cluster that has gone
                client.run(stop_kernels, token)

        yield client.get_executor(pure=False), threads, stop


def _count_cores():
    import joblib

    return joblib.cpu_count()


def execute_run(text, stem, parameters, threads, token):
    """Execute one run, here or on a Dask worker. Notebooks are passed as text, so that no shared folder is needed.

    Parameters
    ----------
    text : str
        The notebook as JSON.
    stem : str
    parameters : dict
    threads : dict of str to int
        Host to the number of threads for a kernel.
    token : str
        Put into the kernel's environment.

    Returns
    -------
    tuple of (str or None, Outcome)
        The executed notebook as JSON (after a failure, up to the failing cell).
    """
    host = ""
    if host not in threads:
        from distributed import get_worker

        host = urlparse(get_worker().address).hostname
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads.get(host, 1))), **{_TOKEN: token})
    try:
        with tempfile.TemporaryDirectory(prefix="aeutils-") as folder:
            path, target = Path(folder) / f"{stem}.ipynb", Path(folder) / "executed.ipynb"
            path.write_text(text, encoding="utf-8")
            outcome = execute(path, parameters, target)
            return target.read_text(encoding="utf-8") if target.exists() else None, outcome
    except OSError as error:
        return None, Outcome("disk", "writing a temporary file", str(error))


def stop_kernels(token):
    """Kill the kernels that this process started for the sweep with this token."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        try:
            if child.environ().get(_TOKEN) == token:
                child.kill()
        except psutil.Error:  # it has ended, or belongs to another user
            pass


def run_sweep(source, todo, out, executor, threads, stop):
    """Execute runs; store notebook and page of each as soon as it has ended, and yield it.

    A run whose kernel died is tried once more. Closing or interrupting this generator kills all its kernels.

    Parameters
    ----------
    source : aeutils.running.sources.Source
    todo : sequence of Run
    out : path
        Existing folder; see `lock_folder`.
    executor, threads, stop
        From `local_executor` or `dask_executor`.

    Yields
    ------
    run : Run
    outcome : aeutils.running.execution.Outcome
    record : aeutils.running.reports.Record
        Of the notebook that is now in the folder.

    Raises
    ------
    SweepError
        A result could not be written; the notebooks written before it are complete.
    """
    out, token, notebook = Path(out), uuid.uuid4().hex, deepcopy(source.notebook)
    clear_outputs(notebook)
    text = nbformat.writes(notebook)

    def submit(run):
        return executor.submit(execute_run, text, source.path.stem, run.parameters, threads, token)

    pending, retried = {submit(run): run for run in todo}, set()
    try:
        while pending:
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                run = pending.pop(future)
                try:
                    executed, outcome = future.result()
                except CancelledError:  # not by us: the scheduler has gone
                    raise SweepError(
                        "the scheduler has dropped the runs that were left; start it and give the same command again"
                    ) from None
                except Exception as error:  # the worker failed, not the notebook, and Dask gave the run up
                    executed, outcome = None, Outcome("worker", message=f"{type(error).__name__}: {' '.join(str(error).split())}")
                if outcome.kind == "kernel" and run.name not in retried:
                    retried.add(run.name)
                    pending[submit(run)] = run
                    continue
                yield run, outcome, _store(executed, outcome, run, source, out)
    finally:
        for future in pending:
            future.cancel()
        if pending:
            stop(token)
        while running := [future for future in pending if not future.done()]:
            wait(running, timeout=0.5)
            stop(token)


def _store(executed, outcome, run, source, out):
    """Write notebook and page of a run, each as a whole or not at all, and return its record.

    If no notebook came back, an earlier one is kept; without one, an empty notebook is written that says why.
    """
    final = out / f"{run.name}.ipynb"
    if not executed and final.exists():
        return read_run(final)
    notebook = nbformat.reads(executed, as_version=4) if executed else nbformat.v4.new_notebook()
    papermill = notebook.metadata.setdefault("papermill", {"parameters": run.parameters})
    papermill.update(input_path=source.path.name, output_path=final.name)
    sweep = {"notebook": source.path.stem, "source": source.digest, "label": run.label}
    notebook.metadata.setdefault("aeutils", {})["sweep"] = sweep
    finish(notebook, source.path.resolve().parent, out, outcome)
    try:
        write_html(final, notebook)  # the page first: wherever there is a notebook, there is its page
        write_whole(final, nbformat.writes(notebook))
    except OSError as error:
        raise SweepError(f"{final.name} cannot be written ({error}); the runs before it are kept") from error
    return describe_run(run.name, notebook)


@contextmanager
def lock_folder(out):
    """Lock a folder for one sweep; the operating system releases the lock however the process ends.

    Raises
    ------
    SweepError
        Another sweep has locked it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(Path(out) / ".sweep.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise SweepError(f"another sweep is writing into {out}; wait until it has ended, or choose another --out") from None
    try:
        yield
    finally:
        lock.release()
