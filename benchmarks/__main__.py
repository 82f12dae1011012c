"""``python -m benchmarks [PART...]``: measure, and write results.json, README.md and its pictures.

Parts: quality, throughput, detection, hashing, collection, sweep (all by default), or ``report`` for the README alone. What was
measured is written after each part, so a run that is stopped keeps the parts it has finished. A part that was stopped is measured
anew as a whole: its contenders take turns, and turns of two sessions are not comparable.
"""

import argparse
import importlib
import inspect
import json
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from aeutils.files import write_whole
from benchmarks import measure, report

PARTS = ("quality", "throughput", "detection", "hashing", "collection", "sweep")
FOLDER = Path(__file__).parent


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all), or report")
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="DIR", help="folder for the results (default: benchmarks)")
    parser.add_argument(
        "--set", nargs=2, action="append", default=[], metavar=("NAME", "JSON"), help="argument of a part's run()"
    )
    arguments = parser.parse_args(argv)
    if unknown := sorted(set(arguments.parts) - {*PARTS, "report"}):
        parser.error(f"unknown: {', '.join(unknown)}; the parts are {', '.join(PARTS)} and report")
    wanted = {part: importlib.import_module(f"benchmarks.{part}").run for part in PARTS if part in (arguments.parts or PARTS)}
    given = {}
    for name, value in arguments.set:
        for part, run in wanted.items():
            if name not in (known := inspect.signature(run).parameters):
                parser.error(f"--set {name}: {part} has no such argument; it has {', '.join(known)}")
        try:
            given[name] = json.loads(value)
        except json.JSONDecodeError:
            parser.error(f"--set {name} {value}: expected JSON, such as 2 or '[1, 2]'")

    path = arguments.out / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    arguments.out.mkdir(parents=True, exist_ok=True)
    for part, run in wanted.items():
        print(f"-- {part}", flush=True)
        start, began = time.perf_counter(), datetime.now(timezone.utc)
        result = run(**given)
        about = {"measured": f"{began:%Y-%m-%d %H:%M} UTC", "took_seconds": round(time.perf_counter() - start)}
        results[part] = about | {"machine": measure.describe_machine()} | result
        write_whole(path, json.dumps(measure.round_figures(results), indent=1) + "\n")
    if not results:
        sys.exit(f"{path} does not exist yet: run python -m benchmarks first")
    report.write(json.loads(path.read_text()), arguments.out)
    print(f"{arguments.out / 'README.md'}")


if __name__ == "__main__":
    main()
