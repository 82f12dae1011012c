"""benchmarks/README.md and its pictures, made from results.json alone; every figure in it is read from there."""

from pathlib import Path

import matplotlib.figure
import numpy as np

from aeutils.files import write_whole
from aeutils.plots import COLOURS, plot_lines, plot_tradeoff

HEAD = """# Benchmarks

How fast the collection does what it exists for, beside what people would use instead. This page and its pictures are made
by `make benchmark` from [results.json](results.json); nothing in the tables is typed. `make benchmark ARGS=quality`
measures one part again, `make benchmark ARGS=report` only writes the page. Ratios carry over to other machines better
than seconds. Contenders take turns, each measurement in a fresh process with as many threads as there are cores, and
tables show the median with the smallest and largest value in brackets.
"""


def write(results, out):
    """Write ``README.md`` and the pictures of all parts that `results` holds into a folder."""
    out = Path(out)
    pictures = out / "pictures"
    pictures.mkdir(exist_ok=True)
    sections = [HEAD, _describe_machines(results), _say_in_short(results), _summarize(results)]
    for part, describe in SECTIONS.items():
        if part in results:
            sections.append(describe(results[part], pictures))
    findings = Path(__file__).parent / "findings.md"
    if findings.exists():
        sections.append(findings.read_text())
    write_whole(out / "README.md", "\n".join(sections))


def _describe_machines(results):
    """One line where all parts were measured on one machine, as they should be; else one a part."""
    lines = {}
    for part, result in results.items():
        machine = result["machine"]
        versions = ", ".join(f"{name} {version or 'not installed'}" for name, version in machine["versions"].items())
        line = (
            f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}, "
            f"Python {machine['python']}; {versions}"
        )
        lines.setdefault(line, []).append(f"{part} {result['measured']} ({result['took_seconds'] / 60:.0f} min)")
    return "\n".join(f"Measured on: {line}.\n\nWhen: {', '.join(parts)}.\n" for line, parts in lines.items())


def _table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def _spread(summary, digits=1):
    if summary["n"] == 1:
        return f"{summary['median']:.{digits}f}"
    return f"{summary['median']:.{digits}f} ({summary['min']:.{digits}f} to {summary['max']:.{digits}f})"


def _save(ax, path):
    ax.figure.savefig(path, dpi=80, bbox_inches="tight", metadata={"Software": None})
    return f"![{path.stem}](pictures/{path.name})\n"


def _axes(width=7.5, height=3.8):
    return matplotlib.figure.Figure(figsize=(width, height), dpi=80, layout="constrained").subplots()


# -- the summary ---------------------------------------------------------------------------------------------------------

FAIR = "PyTorch, our network and recipe"


def _say_in_short(results):
    """Three lines for who reads no further, computed like the tables."""
    lines, fair = [], []
    for part in ("dense", "convolutional"):
        if contenders := results.get("quality", {}).get(part, {}).get("contenders"):
            ratios = compare_to_ours(contenders)
            line = f"- {part.capitalize()} autoencoder, to the error of TensorFlow's tutorial: the tutorial takes "
            line += f"{ratios['TensorFlow tutorial']:.1f} times as long as this course's training"
            if FAIR in ratios:
                fair.append(ratios[FAIR])
                line += f", PyTorch with the same network, recipe and data in memory {fair[-1]:.2f} times as long"
            lines.append(line + ".")
    if fair and max(fair) < 1.5:
        lines.append(
            "- So most of the gain is the recipe: learning rate, schedule, batches from memory. It is not the framework."
        )
    return "\n".join(["## In short\n", *lines, ""]) if lines else ""


# -- the targets ---------------------------------------------------------------------------------------------------------


def _summarize(results):
    rows = []
    for part in ("dense", "convolutional"):
        if contenders := results.get("quality", {}).get(part, {}).get("contenders"):
            ratios = compare_to_ours(contenders)
            tutorial = ratios.pop("TensorFlow tutorial")
            rows.append([f"{part}: tutorial's seconds / ours, to the tutorial's error", "10 or more", *_verdict(tutorial, 10)])
            for name, ratio in ratios.items():
                if name.startswith("PyTorch"):
                    rows.append([f"{part}: seconds of {name} / ours", "above 1", *_verdict(ratio, 1)])
    if detection := results.get("detection"):
        if "PyOD AutoEncoder" in detection["quality"]:
            ours, peer = ({t: f for t, f in detection["quality"][name].items()} for name in ("ours", "PyOD AutoEncoder"))
            for figure in ("auroc", "average_precision"):
                gain = np.mean([ours[table][figure]["median"] - peer[table][figure]["median"] for table in ours])
                name = figure.replace("auroc", "AUROC").replace("_", " ")
                rows.append(
                    [
                        f"anomalies: {name} above PyOD's AutoEncoder, mean of {len(ours)} tables",
                        "above 0",
                        *_verdict(gain, 0, "+.3f"),
                    ]
                )
            seconds = [
                sum(table[figure]["median"] for table in tables.values() for figure in ("fit_seconds", "score_seconds"))
                for tables in (ours, peer)
            ]
            rows.append(
                [
                    "anomalies: seconds of PyOD's AutoEncoder / ours, all tables",
                    "2 or more",
                    *_verdict(seconds[1] / seconds[0], 2),
                ]
            )
    for size, (ours, faiss) in _pair_searches(results.get("hashing")).items():
        rows.append([f"search by bits among {size:,}: FAISS's time / ours, one thread", "1 or more", *_verdict(faiss / ours, 1)])
    if collection := results.get("collection"):
        for dataset, bound in (("digits", 300), ("", 600)):
            chosen = [
                figures["seconds"]["median"]
                for name, by in collection["notebooks"].items()
                for data, figures in by.items()
                if name[:2] <= "05" and (data == "digits") == bool(dataset)
            ]
            where = dataset or "MNIST / Fashion-MNIST"
            if len(chosen) == 5:
                rows.append(
                    [
                        f"notebooks 01 to 05 on {where}, seconds",
                        f"{bound} or fewer",
                        *_verdict(sum(chosen), bound, ".0f", below=True),
                    ]
                )
    if sweep := results.get("sweep"):
        rows.append(
            ["sweep: one worker's seconds / two workers'", "1.7 or more", *_verdict(sweep["gain_of_two_workers"], 1.7, ".2f")]
        )
        rows.append(
            ["sweep: overhead beyond a papermill loop", "under 5%", *_verdict(100 * sweep["overhead"], 5, "+.1f", below=True)]
        )
    return "## Targets\n\n" + _table(["what", "target", "measured", ""], rows)


def _pair_searches(result):
    """By size: median milliseconds a query of ours and of FAISS for bits, with one thread each."""
    found = {}
    for search in (result or {}).get("searches", []):
        if search["what"] == "bits" and search["threads"] == 1:
            found.setdefault(search["n"], {})[search["contender"].split()[0]] = search["milliseconds"]["median"]
    return {size: (by["ours"], by["FAISS"]) for size, by in found.items() if {"ours", "FAISS"} <= set(by)}


def _verdict(value, target, form=".2f", below=False):
    if np.isnan(value):
        return "ours never gets there", "**missed**"
    met = value <= target if below else (value >= target if target else value > target)
    if np.isinf(value):
        return "it never gets there", f"no comparison; the fair one is *{FAIR}*"
    return f"{value:{form}}", "reached" if met else "**missed**"


def compare_to_ours(contenders):
    """Median seconds to the target over those of the quickest of ours: infinite for who never gets there, NaN if ours does not."""
    medians = {
        name: float(np.median([np.inf if seconds is None else seconds for seconds in contender["seconds_to_target"]]))
        for name, contender in contenders.items()
    }
    best = min(seconds for name, seconds in medians.items() if name.startswith("ours"))
    return {name: seconds / best if np.isfinite(best) else np.nan for name, seconds in medians.items()}


# -- a section for each part ---------------------------------------------------------------------------------------------


def _describe_quality(result, pictures):
    text = [
        "## Time to quality\n",
        "Seconds of training on the 60,000 images of Fashion-MNIST until the mean squared error on the test images is at or below",
        "what the settings of TensorFlow's tutorial reach after their ten epochs. Tracing counts, imports and evaluation do not.",
        "The tutorial trains with Adam at 0.001 and batches of 32; PyTorch is written as in its own tutorials with the same settings;",
        "with Glorot's start it has the same initial weights as Keras; with our recipe it has our schedule, our batch and batches",
        "sliced from memory too. MLPRegressor has its defaults (batch 200, linear output, clipped here to 0..1), or batches of 32.",
        "How many epochs our trainings take was chosen on the validation split.\n",
    ]
    for part, title in (("dense", "Dense, code of 64 units"), ("convolutional", "Convolutional, denoising")):
        if part not in result:
            continue
        contenders, ratios = result[part]["contenders"], compare_to_ours(result[part]["contenders"])
        rows = []
        for name, contender in contenders.items():
            seconds = contender["seconds_to_target"]
            done = [value for value in seconds if value is not None]
            final = contender["final_mse"]
            reached = f"{len(done)} of {len(seconds)}"
            median = f"{np.median(done):.1f} ({min(done):.1f} to {max(done):.1f})" if done else "never"
            rows.append(
                [
                    name,
                    median,
                    reached,
                    f"{ratios[name]:.1f}" if np.isfinite(ratios[name]) else "",
                    contender["epochs"],
                    f"{np.median(contender['final_seconds']):.1f}",
                    f"{np.mean(final):.5f} ± {np.std(final, ddof=1) if len(final) > 1 else 0:.5f}",
                ]
            )
        head = ["", "seconds to target", "seeds that reach it", "ratio to our best", "epochs", "seconds in all", "final test MSE"]
        text += [f"### {title}: test MSE of {result[part]['target_mse']:.5f}\n", _table(head, rows)]
        if missing := result[part]["not installed"]:
            text.append(f"Not installed, so not measured: {', '.join(missing)}.\n")
        curves = {
            name: (np.median([c["seconds"] for c in one["curves"]], axis=0), np.mean([c["mse"] for c in one["curves"]], axis=0))
            for name, one in contenders.items()
        }
        ax = plot_tradeoff(curves, "seconds of training", "test MSE", log="x", ax=_axes(8.5))
        ax.axhline(result[part]["target_mse"], color="0.5", linewidth=1, linestyle=":")
        text.append(_save(ax, pictures / f"quality_{part}.png"))
    return "\n".join(text)


def _describe_throughput(result, pictures):
    base = result["base"]
    text = [
        "## Share of the arithmetic peak, and growth\n",
        f"Notebook 01's network, {base['images']:,} images, code of {base['code']}, batch of {base['batch']}, steady epochs (the first, which traces, left out).\n",
    ]
    peak = result["peak_gflops"]["median"]
    rows = [["large float32 product (sgemm)", _spread(result["peak_gflops"], 0), "1.00"]]
    own = result["own_products_gflops"]
    rows.append(
        [f"the network's own products at batch {base['batch']}, nothing else", _spread(own, 0), f"{own['median'] / peak:.2f}"]
    )
    rows += [
        [f"epoch with {way}", f"{rate:.0f}", f"{result['share_of_peak'][way]:.2f}"]
        for way, rate in result["epoch_gflops"].items()
    ]
    text.append(_table(["", "GFLOP/s", "share of peak"], rows))
    figure = matplotlib.figure.Figure(figsize=(12, 3.6), dpi=80, layout="constrained")
    names = list(result["epochs"]["ours"])
    for name, ax in zip(names, figure.subplots(1, len(names), squeeze=False)[0]):
        lines = {way: [summary["median"] for _, summary in by[name]] for way, by in result["epochs"].items()}
        x = [value for value, _ in result["epochs"]["ours"][name]]
        plot_lines(
            x,
            lines,
            {"images": "training images", "code": "units in the code", "batch": "images per step"}[name],
            "seconds per epoch",
            log="xy",
            ax=ax,
        )
        if name == "images":
            ax.plot(
                x,
                np.array(x) * lines["ours"][-1] / x[-1],
                color=COLOURS[2],
                linewidth=1,
                linestyle=":",
                label="straight line through 0",
            )
            ax.legend()
        ax.tick_params("x", rotation=30)
    text.append(_save(ax, pictures / "growth.png"))
    first, last = result["epochs"]["ours"]["images"][0], result["epochs"]["ours"]["images"][-1]
    growth = (last[1]["median"] / first[1]["median"]) / (last[0] / first[0])
    text.append(
        f"From {first[0]:,} to {last[0]:,} images ({last[0] / first[0]:.0f} times as many) our epoch takes "
        f"{last[1]['median'] / first[1]['median']:.1f} times as long: {growth:.2f} of what a straight line through 0 says.\n"
    )
    rows = [
        [name, f"{value:,}", *(_spread(dict(by[name])[value], 2) for by in result["epochs"].values())]
        for name in names
        for value, _ in result["epochs"]["ours"][name]
    ]
    text.append(_table(["varied", "value", *(f"{way}, seconds per epoch" for way in result["epochs"])], rows))
    return "\n".join(text)


def _describe_detection(result, pictures):
    names = list(result["quality"])
    tables = list(result["quality"][names[0]])
    text = [
        "## Anomaly detector\n",
        "All detectors at their defaults. 70% of the normal rows for training, the others and all anomalies for testing; benign rows",
        "are normal in breast_cancer, and each class in turn in the others (mean over the classes, seconds summed over them). Whoever",
        "trains several detectors in one process pays for TensorFlow's tracing once; the last table shows that first fit apart.\n",
    ]
    for figure, title in (("auroc", "AUROC"), ("average_precision", "average precision")):
        rows = [[table, *(_spread(result["quality"][name][table][figure], 3) for name in names)] for table in tables]
        mean = [f"{np.mean([result['quality'][name][table][figure]['median'] for table in tables]):.3f}" for name in names]
        text.append(_table([title, *names], [*rows, ["mean of medians", *mean]]))
    for figure, title in (("fit_seconds", "seconds to fit"), ("score_seconds", "seconds to score")):
        rows = [[table, *(_spread(result["quality"][name][table][figure], 2) for name in names)] for table in tables]
        text.append(_table([title, *names], rows))
    growth = result["growth"]
    rows = [["the process's first fit", *(_spread(result["first_fit_seconds"][name], 2) for name in names)]]
    for position, point in enumerate(growth[names[0]]):
        cells = [
            f"{growth[name][position]['fit_seconds']['median']:.2f} + {growth[name][position]['score_seconds']['median']:.3f}"
            for name in names
        ]
        rows.append([f"{point['rows']:,} rows", *cells])
    text.append(_table(["breast_cancer enlarged: seconds to fit + to score", *names], rows))
    x = [point["rows"] for point in growth[names[0]]]
    lines = {name: [p["fit_seconds"]["median"] + p["score_seconds"]["median"] for p in growth[name]] for name in names}
    text.append(_save(plot_lines(x, lines, "rows", "seconds to fit and score", log="xy", ax=_axes()), pictures / "detection.png"))
    rows = [
        [f"{p['rows']:,} rows", *(f"{growth[name][i]['auroc']['median']:.3f}" for name in names)]
        for i, p in enumerate(growth[names[0]])
    ]
    text.append(_table(["breast_cancer enlarged: AUROC", *names], rows))
    if result["not installed"]:
        text.append(f"Not installed, so not measured: {', '.join(result['not installed'])}.\n")
    return "\n".join(text)


def _describe_hashing(result, pictures):
    first = {(s["what"], s["n"]): s["milliseconds"]["median"] for s in reversed(result["searches"]) if s["threads"] == 1}
    rows = [
        [
            f"{search['n']:,} {'codes' if search['what'] == 'bits' else 'images'} by {search['what']}: {search['contender']}",
            search["threads"],
            _spread(search["milliseconds"], 2),
            f"{search['milliseconds']['median'] / first[search['what'], search['n']]:.2f}",
        ]
        for search in result["searches"]
    ]
    text = [
        "## Exact search\n",
        f"The {result['k']} nearest of {result['n_queries']} queries: codes of {result['n_bits']} bits by Hamming distance (lesson 07), and",
        "images of 784 numbers by Euclidean distance. All find the same distances. The ratio is to the first row of the same search,",
        "which has one thread. Our search by bits is NumPy and has no second thread.\n",
        _table(["search", "threads", "milliseconds a query", "ratio"], rows),
    ]
    if result["not installed"]:
        text.append(f"Not installed, so not measured: {', '.join(result['not installed'])}.\n")
    return "\n".join(text)


def _describe_collection(result, pictures):
    rows, totals = [], {}
    for name, by in result["notebooks"].items():
        for dataset, figures in by.items():
            totals.setdefault("digits" if dataset == "digits" else "the data set it was written for", []).append(
                figures["seconds"]["median"]
            )
            rows.append(
                [
                    name,
                    dataset,
                    _spread(figures["seconds"], 0),
                    _spread(figures["cells_seconds"], 0),
                    _spread(figures["start_up_seconds"], 1),
                ]
                + [_spread({key: value / (1000 if key != "n" else 1) for key, value in figures["peak_mb"].items()}, 1)]
            )
    rows += [[f"**all {len(seconds)}**", where, f"{sum(seconds):.0f}", "", "", ""] for where, seconds in totals.items()]
    text = [
        "## The notebooks\n",
        "`python -m aeutils run NOTEBOOK` at the default parameters. Start-up is the program, the kernel, the imports and the page.\n",
        _table(["notebook", "data", "seconds in all", "cells", "start-up", "peak memory (GB)"], rows),
        "### Loading\n",
        "From a local folder with the published files (MNIST, Fashion-MNIST) or from scikit-learn (`digits`, which is drawn at the first time); downloads are not in it.\n",
    ]
    loading = [
        [name, _spread(ways["first"], 2), _spread(ways["again"], 2)]
        for name, ways in result["loading"].items()
        if ways["dataset"] == name
    ]
    return "\n".join([*text, _table(["data set", "seconds, first time", "seconds, again"], loading)])


def _describe_sweep(result, pictures):
    rows = [[way, _spread(result["seconds"][way]), _spread(result["cpu_seconds"][way])] for way in result["seconds"]]
    return "\n".join(
        [
            "## Sweeps\n",
            f"{result['n_runs']} runs of {result['notebook']} ({', '.join(result['parameters'])}), the program's start included.\n",
            _table(["", f"seconds for {result['n_runs']} runs", "seconds of processor time"], rows),
            f"One worker against the loop: {result['overhead']:+.1%}, {result['overhead_seconds_per_run']:+.2f} s a run; "
            f"in processor time, which a busy machine disturbs less, {result['cpu_overhead']:+.1%}. "
            f"Two workers against one: {result['gain_of_two_workers']:.2f} times as fast.\n",
        ]
    )


SECTIONS = {
    "quality": _describe_quality,
    "throughput": _describe_throughput,
    "detection": _describe_detection,
    "hashing": _describe_hashing,
    "collection": _describe_collection,
    "sweep": _describe_sweep,
}
