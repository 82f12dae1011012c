"""What a sweep costs and gains: the same runs of a notebook in a plain papermill loop, with one worker, with two.

    python benchmarks/sweep.py [--notebook 01] [--rounds 2] [-p NAME VALUE]...

The three ways take turns, so that a machine that gets slower hits all of them. Two figures matter: the overhead of one
worker beyond the loop (run by run, the pages and the summary included), and the gain of two workers over one.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aeutils import runs, sweeps

LOOP = """import sys, json, papermill
path, out, todo = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
for number, parameters in enumerate(todo):
    papermill.execute_notebook(path, f"{out}/{number}.ipynb", parameters, progress_bar=False, extra_arguments=["--log-level=ERROR"])
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--notebook", default="01")
    parser.add_argument("--grid", action="append", default=None, help="default: latent_dim=8,32 and seed=0..2")
    parser.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    grids = arguments.grid or ["latent_dim=8,32", "seed=0..2"]
    (notebook,) = runs.find_notebooks([arguments.notebook])
    planned = sweeps.plan_runs(notebook, [tuple(grid.split("=", 1)) for grid in grids], fixed=arguments.parameter)
    given = [text for grid in grids for text in ("--grid", grid)]
    given += [text for pair in arguments.parameter for text in ("-p", *pair)]

    todo = json.dumps([run.parameters for run in planned])
    seconds = {"papermill loop": [], "1 worker": [], "2 workers": []}
    for _ in range(arguments.rounds):
        for way, taken in seconds.items():
            with tempfile.TemporaryDirectory() as out:
                if way == "papermill loop":
                    command = [sys.executable, "-c", LOOP, str(notebook), out, todo]
                else:
                    command = [sys.executable, "-m", "aeutils", "sweep", str(notebook), *given, "--out", out, "--workers", way[0]]
                start = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                taken.append(time.perf_counter() - start)
                assert len(list(Path(out).glob("*.ipynb"))) == len(planned)
                print(f"{way}: {taken[-1]:.1f} s for {len(planned)} runs", flush=True)
    loop, one, two = map(statistics.median, seconds.values())
    print(
        f"overhead of a sweep with one worker beyond the loop: {one / loop - 1:+.1%} ({(one - loop) / len(planned):+.2f} s a run)"
    )
    print(f"two workers against one: {one / two:.2f}x; against the loop: {loop / two:.2f}x")


if __name__ == "__main__":
    main()
