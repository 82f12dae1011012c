"""What a sweep costs and gains: the same runs of a notebook in a plain papermill loop, with one worker, with two.

The three ways take turns, so that a machine that gets slower hits all of them. Two figures matter: the overhead of one
worker beyond the loop (the pages and the summary included), and the gain of two workers over one.
"""

import json
import sys
import tempfile
from pathlib import Path

from aeutils.running import sources, sweeps
from benchmarks import measure

GRIDS = ["latent_dim=8,32", "seed=0..2"]
FIXED = [["n_seeds", "1"], ["code_sizes", "[2]"], ["min_steps", "0"]]
LOOP = """import sys, json, papermill
path, out, todo = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
for number, parameters in enumerate(todo):
    papermill.execute_notebook(path, f"{out}/{number}.ipynb", parameters, progress_bar=False, extra_arguments=["--log-level=ERROR"])
"""


def run(notebook="01", grids=GRIDS, fixed=FIXED, rounds=3):
    (source,) = sources.find_sources([notebook])
    planned = sweeps.plan_runs(source, [tuple(grid.split("=", 1)) for grid in grids], fixed=fixed)
    given = [text for grid in grids for text in ("--grid", grid)]
    given += [text for pair in fixed for text in ("-p", *pair)]
    todo = json.dumps([run.parameters for run in planned])
    turns = {"papermill loop": [], "1 worker": [], "2 workers": []}
    for _ in range(rounds):
        for way, taken in turns.items():
            with tempfile.TemporaryDirectory() as out:
                if way == "papermill loop":
                    command = [sys.executable, "-c", LOOP, str(source.path), out, todo]
                else:
                    command = [
                        sys.executable,
                        "-m",
                        "aeutils",
                        "sweep",
                        str(source.path),
                        *given,
                        "--out",
                        out,
                        "--workers",
                        way[0],
                    ]
                process = measure.run_process(command)
                taken.append((process["seconds"], process["cpu_seconds"]))
                assert len(list(Path(out).glob("*.ipynb"))) == len(planned)
                print(
                    f"{way}: {process['seconds']:.1f} s, {process['cpu_seconds']:.1f} CPU-s for {len(planned)} runs", flush=True
                )
    seconds, cpu_seconds = (
        {way: measure.summarize(column[i] for column in taken) for way, taken in turns.items()} for i in (0, 1)
    )
    loop, one, two = (summary["median"] for summary in seconds.values())
    return {
        "notebook": source.path.stem,
        "parameters": [*grids, *(" = ".join(pair) for pair in fixed)],
        "n_runs": len(planned),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "overhead": one / loop - 1,
        "cpu_overhead": cpu_seconds["1 worker"]["median"] / cpu_seconds["papermill loop"]["median"] - 1,
        "overhead_seconds_per_run": (one - loop) / len(planned),
        "gain_of_two_workers": one / two,
    }
