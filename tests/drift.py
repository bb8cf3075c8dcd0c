#!/usr/bin/env python3
"""Draws how far training in f32 drifts from training in f64: docs/drift.svg.

    python3 tests/drift.py --plot docs/drift.svg

Runs `cargo test --release -p ttcore-tests --test drift`, which trains, and prints in Markdown where the runs end. Needs
matplotlib to draw.
"""

import argparse
import collections
import csv
import statistics
import subprocess

TRAIN = ["cargo", "test", "--release", "--locked", "--quiet", "-p", "ttcore-tests", "--test", "drift", "--",
         "--ignored", "--nocapture"]
CURVES = {
    "tables": "tables alone, f32 and f64",
    "backends": "tables alone, CPU and reference, f32",
    "model": "a DLRM, ten runs, f32 and f64",
}


def curves():
    """Points of each run: (curve, rule) -> run -> lines."""
    out = subprocess.run(TRAIN, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    first = next(number for number, line in enumerate(out) if line.startswith("curve,"))
    lines = [line for line in out[first:] if line.count(",") == out[first].count(",")]
    runs = collections.defaultdict(lambda: collections.defaultdict(list))
    for point in csv.DictReader(lines):
        numbers = {key: float(point[key]) for key in ("step", "outputs", "parameters", "bound")}
        runs[point["curve"], point["rule"]][point["run"]].append(numbers)
    return runs


def table(runs):
    """Where the runs end, in units of the precision of f32, as Markdown: the median and the largest."""
    epsilon = 2.0 ** -23
    print("| 1,000 steps | rule | parameters | outputs | bound |")
    print("|---|---|---|---|---|")
    for (curve, rule), each in runs.items():
        ends = [points[-1] for points in each.values()]
        cells = []
        for key in ("parameters", "outputs"):
            values = [end[key] / epsilon for end in ends]
            text = f"{statistics.median(values):.1f} epsilon"
            cells.append(text + (f", at most {max(values):.2g}" if len(values) > 1 else ""))
        print(f"| {CURVES[curve]} | {rule} | {cells[0]} | {cells[1]} | {ends[0]['bound'] / epsilon:.0f} epsilon |")


def plot(runs, path):
    """Drift of the parameters over the steps; a panel for each rule."""
    import matplotlib
    matplotlib.use("svg")
    import matplotlib.pyplot as plt
    # The same bytes for the same runs.
    plt.rcParams["svg.hashsalt"] = "drift"
    rules = list(dict.fromkeys(rule for _, rule in runs))
    figure, axes = plt.subplots(1, len(rules), figsize=(2 + 5 * len(rules), 4.2), sharey=True)
    for axis, rule in zip(axes, rules):
        for number, (curve, text) in enumerate(CURVES.items()):
            for run, points in runs[curve, rule].items():
                axis.loglog([point["step"] for point in points], [point["parameters"] for point in points],
                            color=f"C{number}", linewidth=0.7 if curve == "model" else 1.8,
                            label=text if run == "1" else None)
        points = runs["tables", rule]["1"]
        axis.loglog([point["step"] for point in points], [point["bound"] for point in points], "k--", linewidth=1,
                    label="bound of the tests")
        axis.set(title=rule, xlabel="steps")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    axes[0].set_ylabel("relative drift of the parameters")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", help="SVG file to draw the curves to")
    args = parser.parse_args()
    runs = curves()
    table(runs)
    if args.plot:
        plot(runs, args.plot)


if __name__ == "__main__":
    main()
