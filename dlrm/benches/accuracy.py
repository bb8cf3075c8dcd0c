#!/usr/bin/env python3
"""Whether compressed tables learn what uncompressed ones do, on synthetic lines with a planted model.

    cargo build --release -p dlrm
    python3 dlrm/benches/accuracy.py --dlrm target/release/dlrm --dir /tmp/accuracy --plot docs/accuracy.svg

For every seed: two million lines to train on and a day of one million held out (half of it tests, half validates), made
by `dlrm synth` and `dlrm prepare`; then every configuration below, trained on them for one epoch in batches of 128 with
tables of the Criteo Kaggle sizes. Seeds are paired: all configurations of a seed see the same lines in the same order.
Finished runs are kept in --dir and not made again. --adagrad adds the configurations with Adagrad. Prints a table in Markdown; --plot draws the curves and needs
matplotlib.
"""

import argparse
import json
import pathlib
import statistics
import subprocess

TRAIN_LINES, TEST_LINES = 2_000_000, 1_000_000
TT = ["--tt-tables", "7", "--tt-rank", "32"]
CACHE = ["--cache-fraction", "0.0001"]
ADAGRAD = ["--optimizer", "adagrad", "--lr", "0.02"]

# Name, what it says in the table, options. The first and the last of a group are its reference points.
SGD_RUNS = {
    "SGD, learning rate 0.1": [
        ("dense", "uncompressed", ["--tt-tables", "0"]),
        ("tt", "7 tensor trains, rank 32, calibrated, multiplier 30", TT + ["--tt-lr-multiplier", "30"]),
        ("tt-cache", "the same with a cache of 0.01%", TT + CACHE + ["--tt-lr-multiplier", "30"]),
        ("tt-paper", "published scale, multiplier 1", TT + ["--tt-scale", "paper", "--tt-lr-multiplier", "1"]),
        ("frozen", "the 7 tables frozen", TT + ["--freeze-tt"]),
    ],
}
ADAGRAD_RUNS = {
    "Adagrad, learning rate 0.02": [
        ("dense-adagrad", "uncompressed", ["--tt-tables", "0"] + ADAGRAD),
        ("tt-adagrad", "7 tensor trains, rank 32, calibrated", TT + ADAGRAD + ["--tt-lr-multiplier", "1"]),
        ("tt-adagrad-cache", "the same with a cache of 0.01%", TT + CACHE + ADAGRAD + ["--tt-lr-multiplier", "1"]),
        ("frozen-adagrad", "the 7 tables frozen", TT + ["--freeze-tt"] + ADAGRAD),
    ],
}


def make_data(dlrm, directory, seed):
    """The prepared lines of a seed, and the best AUC a model could have on the day held out."""
    data, planted = directory / f"data_{seed}", directory / f"synth1_{seed}.json"
    if not (data.is_dir() and planted.is_file()):
        days = [directory / f"day{day}_{seed}" for day in (0, 1)]
        for day, lines, first in [(days[0], TRAIN_LINES, 0), (days[1], TEST_LINES, TRAIN_LINES)]:
            options = ["--lines", str(lines), "--first-line", str(first), "--seed", str(seed), "--force", "--json"]
            report = subprocess.run([dlrm, "synth", "-o", day] + options, check=True, stdout=subprocess.PIPE).stdout
        subprocess.run([dlrm, "prepare", *days, "-o", data, "--force"], check=True, stdout=subprocess.DEVNULL)
        planted.write_bytes(report)
        for day in days:
            day.unlink()
    return data, json.loads(planted.read_text())


def train(dlrm, directory, data, seed, name, options):
    """What came out of a run, and the lines of its log."""
    out = directory / "out"
    out.mkdir(exist_ok=True)
    outcome, log = out / f"{name}-{seed}.json", out / f"{name}-{seed}.jsonl"
    if not outcome.is_file():
        log.unlink(missing_ok=True)
        common = ["--data", data, "--seed", str(seed), "--preset-rows", "--log-every", "1000", "--log", log, "--json"]
        report = subprocess.run([dlrm, "train", *common, *options], check=True, stdout=subprocess.PIPE).stdout
        outcome.write_bytes(report)
    return json.loads(outcome.read_text()), [json.loads(line) for line in log.read_text().splitlines()]


def table(runs, groups, planted, seeds):
    """The results, as Markdown. A share is of the way from frozen to uncompressed tables, seed by seed."""
    best = statistics.mean(planted[seed]["bayes_auc"] for seed in seeds)
    print(f"Best possible AUC {best:.4f}, without the largest tables "
          f"{statistics.mean(planted[seed]['bayes_auc_without_largest'] for seed in seeds):.4f}.\n")
    print("| tables | AUC, each seed | mean | share of the gap | below the best | accuracy | log loss | times smaller |")
    print("|---|---|---|---|---|---|---|---|")
    for group, configurations in groups.items():
        print(f"| **{group}** | | | | | | | |")
        auc = {name: [runs[name, seed][0]["test"]["auc"] for seed in seeds] for name, _, _ in configurations}
        dense, frozen = auc[configurations[0][0]], auc[configurations[-1][0]]
        for name, text, _ in configurations:
            mean = lambda key: statistics.mean(runs[name, seed][0]["test"][key] for seed in seeds)
            share = statistics.mean((a - f) / (d - f) for a, d, f in zip(auc[name], dense, frozen))
            each = ", ".join(f"{value:.4f}" for value in auc[name])
            ratio = runs[name, seeds[0]][0]["ratio"]
            print(f"| {text} | {each} | {statistics.mean(auc[name]):.4f} | {share:.1%} | "
                  f"{best - statistics.mean(auc[name]):.4f} | {mean('accuracy'):.2%} | {mean('log_loss'):.4f} | {ratio:.1f} |")


def plot(runs, groups, seeds, path):
    """Training loss over the iterations, mean of the seeds."""
    import matplotlib
    matplotlib.use("svg")
    import matplotlib.pyplot as plt
    # The same bytes for the same runs.
    plt.rcParams["svg.hashsalt"] = "accuracy"
    figure, axes = plt.subplots(1, len(groups), figsize=(2 + 5 * len(groups), 4.2), sharey=True, squeeze=False)
    for axis, (group, configurations) in zip(axes[0], groups.items()):
        for name, text, _ in configurations:
            logs = [[line for line in runs[name, seed][1] if line["kind"] == "train"] for seed in seeds]
            points = list(zip(*logs))
            axis.plot([lines[0]["iteration"] for lines in points],
                      [statistics.mean(line["loss"] for line in lines) for lines in points], label=text)
        axis.set(title=group, xlabel="iterations of 128 lines")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    axes[0, 0].set_ylabel("training loss, mean of 1,000 iterations")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dlrm", default="target/release/dlrm", help="the program")
    parser.add_argument("--dir", type=pathlib.Path, required=True, help="where data and results are kept; 1 GB for 3 seeds")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--adagrad", action="store_true", help="with Adagrad too")
    parser.add_argument("--plot", type=pathlib.Path, help="SVG file to draw the curves to")
    args = parser.parse_args()
    args.dir.mkdir(parents=True, exist_ok=True)
    seeds = range(1, args.seeds + 1)
    groups = SGD_RUNS | (ADAGRAD_RUNS if args.adagrad else {})
    runs, planted = {}, {}
    for seed in seeds:
        data, planted[seed] = make_data(args.dlrm, args.dir, seed)
        for configurations in groups.values():
            for name, _, options in configurations:
                runs[name, seed] = train(args.dlrm, args.dir, data, seed, name, options)
    table(runs, groups, planted, seeds)
    if args.plot:
        plot(runs, groups, seeds, args.plot)


if __name__ == "__main__":
    main()
