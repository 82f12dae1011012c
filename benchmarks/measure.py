"""What every benchmark shares: each measurement in a process of its own, the machine's name, medians with their spread."""

import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
PACKAGES = ("tensorflow", "keras", "numpy", "scikit-learn", "torch", "pyod", "papermill", "faiss-cpu")


def describe_machine():
    """Processor, cores, memory, system, and the versions of what is compared."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "processor": _processor(),
        "cores": CORES,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": versions,
    }


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def is_installed(package):
    return importlib.util.find_spec(package) is not None


def measure(module, **arguments):
    """Call ``benchmarks.<module>.main(**arguments)`` in a fresh process and return what it returns, a dict.

    A fresh process each time: TensorFlow and PyTorch would share thread pools, and the second of two trainings in a
    process finds caches warm. Every library gets the same number of threads. Adds ``peak_mb``, the process's largest
    resident memory, and ``load``, the machine's load just before; a load near 0 means that it was alone.
    """
    load = os.getloadavg()[0]
    threads = {f"{name}_NUM_THREADS": str(CORES) for name in ("OMP", "OPENBLAS", "MKL")}
    threads["TF_NUM_INTRAOP_THREADS"] = str(CORES)
    command = [sys.executable, "-m", "benchmarks.measure", module, json.dumps(arguments)]
    process = run_process(command, env=os.environ | threads)
    return {**json.loads(process["text"].strip().splitlines()[-1]), "peak_mb": process["peak_mb"], "load": round(load, 2)}


def run_process(command, env=None):
    """Run a command to its end.

    Returns
    -------
    dict
        ``text``: its standard output; ``seconds``; ``cpu_seconds`` of it and its descendants; ``peak_mb``: the largest
        resident memory of one of them, but not less than this process held when it started them.
    """
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=errors, text=True)
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)  # Popen.wait would lose the usage
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(map(str, command))} ended with {process.returncode}: {errors.read()[-2000:]}")
    return {
        "text": text,
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": round(usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)),  # macOS counts bytes
    }


def round_figures(value, digits=5):
    """The same structure with its floats rounded to some significant digits: what is beyond them is noise."""
    if isinstance(value, dict):
        return {name: round_figures(item, digits) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [round_figures(item, digits) for item in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def summarize(values):
    """Median, smallest, largest and number of some measurements."""
    values = list(values)
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "n": len(values),
    }


if __name__ == "__main__":
    main = importlib.import_module(f"benchmarks.{sys.argv[1]}").main
    print("\n" + json.dumps(main(**json.loads(sys.argv[2]))))
