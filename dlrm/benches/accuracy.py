#!/usr/bin/env python3
"""Whether compressed tables learn what uncompressed ones do: the tables of docs/accuracy.md.

    cargo build --release -p dlrm
    python3 dlrm/benches/accuracy.py --dir /tmp/accuracy
    python3 dlrm/benches/accuracy.py --dir /tmp/accuracy --data ml1m=/tmp/ml1m --sets ml1m    # a folder of dlrm prepare

Planted sets are made by `dlrm synth` and `dlrm prepare`: a million lines to train on, 100,000 to test on, tables of the
Criteo Kaggle sizes, other lines and another model for every seed. A set of --data is the same for every seed.

Uncompressed and compressed tables have the same number of trials: for each, every learning rate below is tried with seed 11,
the one with the best AUC on the validation lines is taken, and seeds 1, 2 and 3 are trained with it and measured on the test
lines. The first rate of SGD is the default. Everything else is as the program's defaults say. Finished runs are kept in --dir
and not made again; results do not depend on --jobs. Prints tables in Markdown, with `--by-frequency` those of loss by how often
a row occurs.
"""

import argparse
import concurrent.futures
import json
import pathlib
import statistics
import subprocess

TRAIN_LINES, TEST_LINES = 1_000_000, 200_000
TUNING_SEED, SEEDS = 11, (1, 2, 3)
RATES = {"sgd": ["0.1", "0.2", "0.4"], "adagrad": ["0.005", "0.01", "0.02"]}

PLANTED = {
    "head100": ["--head", "100"],
    "head10000": ["--head", "10000"],
    "vectors10000": ["--head", "10000", "--effects", "vectors"],
}

DENSE = ("uncompressed", ["--tt-tables", "0"])
COMPRESSED = ("compressed, the defaults", [])
# What is trained with the rate that was best for the compressed tables.
VARIANTS = [
    ("with a cache of 0.01%", ["--cache-fraction", "0.0001"]),
    ("with a cache of 1%", ["--cache-fraction", "0.01"]),
    ("compressed tables frozen", ["--freeze-tt"]),
]
# What the defaults were: SGD element by element on cores whose entries are all alike.
ELEMENT_WISE = ("compressed, calibrated, SGD with multiplier 30", ["--tt-scale", "calibrated", "--tt-rule", "element-wise"])


class Failed(Exception):
    """A command that ended with an error: its last words."""


class Study:
    """Runs of one program in one folder."""

    def __init__(self, args):
        self.dlrm, self.dir, self.given = args.dlrm, args.dir, dict(pair.split("=", 1) for pair in args.data)
        self.pool = concurrent.futures.ThreadPoolExecutor(args.jobs)

    def command(self, *options):
        run = subprocess.run([self.dlrm, *map(str, options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if run.returncode != 0:
            raise Failed(run.stderr.decode(errors="replace").strip().splitlines()[-1:])
        return run.stdout

    def prepared(self, name, seed):
        """The lines of a set, and options that go with it."""
        if name in self.given:
            return self.given[name], []
        folder = self.dir / f"{name}-{seed}"
        if not folder.is_dir():
            days = [self.dir / f"{name}-{seed}-day{day}" for day in (0, 1)]
            for day, lines, first in [(days[0], TRAIN_LINES, 0), (days[1], TEST_LINES, TRAIN_LINES)]:
                self.command("synth", "-o", day, "--lines", lines, "--first-line", first, "--seed", seed, "--force",
                             *PLANTED[name])
            self.command("prepare", *days, "-o", folder, "--force")
            for day in days:
                day.unlink()
        return folder, ["--preset-rows"]

    def run(self, name, seed, options, keep=False):
        """What came out of a run, later."""
        return self.pool.submit(self.run_now, name, seed, options, keep)

    def run_now(self, name, seed, options, keep):
        data, more = self.prepared(name, seed)
        label = "_".join([name, str(seed), *options]).replace("--", "").replace("/", "")
        outcome, model = self.dir / "out" / f"{label}.json", self.dir / "models" / label
        if not outcome.is_file() or (keep and not (model / "final.safetensors").is_file()):
            kept = ["--checkpoint-dir", model] if keep else []
            outcome.parent.mkdir(exist_ok=True)
            try:
                report = self.command("train", "--data", data, "--seed", seed, "--threads", 1, "--json", *more, *options,
                                      *kept)
            except Failed as failure:
                # A run that diverges is a result, too; anything else is a failure of the study.
                if "nothing was updated with it" not in str(failure) and "diverged" not in str(failure):
                    raise
                report = json.dumps({"test": {"auc": 0.5, "log_loss": float("nan")}, "validation": {"auc": 0.5},
                                     "ratio": float("nan"), "failed": True}).encode()
            outcome.write_bytes(report)
        return json.loads(outcome.read_text())

    def tuned(self, name, rule, options):
        """The learning rate with the best AUC on the validation lines of the tuning seed."""
        runs = {rate: self.run(name, TUNING_SEED, [*rule_of(rule, rate), *options]) for rate in RATES[rule]}
        return runs

    def by_frequency(self, name, seed, options):
        data, more = self.prepared(name, seed)
        self.run_now(name, seed, options, True)
        label = "_".join([name, str(seed), *options]).replace("--", "").replace("/", "")
        return json.loads(self.command("eval", "--checkpoint", self.dir / "models" / label / "final.safetensors", "--data",
                                       data, "--split", "test", "--by-frequency", "--json"))


def rule_of(rule, rate):
    return ["--optimizer", rule, "--lr", rate]


def best(runs):
    return max(runs, key=lambda rate: runs[rate].result()["validation"]["auc"] or 0)


def line(text, rule, rate, runs, reference=None):
    runs = [run.result() for run in runs]
    auc = [run["test"]["auc"] for run in runs]
    mean = statistics.mean
    lost = f"{mean(reference) - mean(auc):+.4f}" if reference else ""
    each = ", ".join("diverged" if run.get("failed") else f"{run['test']['auc']:.4f}" for run in runs)
    print(f"| {rule} {rate} | {text} | {each} | {mean(auc):.4f} | {lost} | "
          f"{mean(run['test']['log_loss'] for run in runs):.4f} | {mean(run['ratio'] for run in runs):.1f} |", flush=True)
    return auc


def one_set(study, name, rules, extra):
    kinds = [DENSE, (COMPRESSED[0], COMPRESSED[1] + extra)]
    trials = {(rule, text): study.tuned(name, rule, options) for rule in rules for text, options in kinds}
    rates = {key: best(runs) for key, runs in trials.items()}
    jobs = []
    for rule in rules:
        dense_rate, rate = rates[rule, DENSE[0]], rates[rule, COMPRESSED[0]]
        add = lambda text, rate, options: jobs.append(
            (text, rule, rate, [study.run(name, seed, [*rule_of(rule, rate), *options]) for seed in SEEDS]))
        defaults = [RATES[rule][0]] if rule == "sgd" else []
        for dense in dict.fromkeys([dense_rate, *defaults]):
            add(DENSE[0], dense, DENSE[1])
        for compressed in dict.fromkeys([rate, *defaults]):
            add(COMPRESSED[0], compressed, extra)
        for text, options in VARIANTS:
            add(text, rate, options + extra)
        if rule == "sgd":
            add(ELEMENT_WISE[0], RATES[rule][0], ELEMENT_WISE[1] + extra)
    print(f"\n**{name}** {' '.join(extra)}\n")
    print("| rule, rate | tables | test AUC, each seed | mean | lost | log loss | times smaller |\n|---|---|---|---|---|---|---|")
    reference = {}
    for text, rule, rate, runs in jobs:
        auc = line(text, rule, rate, runs, reference.get(rule))
        if text == DENSE[0] and rule not in reference:
            reference[rule] = auc


def frequency_table(study, name, seed, configurations):
    reports = [(text, study.pool.submit(study.by_frequency, name, seed, options)) for text, options in configurations]
    reports = [(text, report.result()) for text, report in reports]
    print(f"\n**{name}**, seed {seed}: log loss of test lines by how often the row of a lookup occurs in training\n")
    print("| occurs | share of lookups | " + " | ".join(text for text, _ in reports) + " |")
    print("|---" * (2 + len(reports)) + "|")
    for bucket in range(len(reports[0][1]["by_frequency"])):
        rows = [report["by_frequency"][bucket] for _, report in reports]
        upper = rows[0]["to"]
        name_of = f"{rows[0]['from']} or more" if upper is None else f"{rows[0]['from']} to {upper}" if upper else "never"
        losses = " | ".join("" if row["log_loss"] is None else f"{row['log_loss']:.4f}" for row in rows)
        print(f"| {name_of} | {rows[0]['share']:.1%} | {losses} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dlrm", default="target/release/dlrm", help="the program")
    parser.add_argument("--dir", type=pathlib.Path, required=True, help="where data and results are kept; 2 GB")
    parser.add_argument("--data", metavar="NAME=DIR", action="append", default=[], help="another set: a prepared folder")
    parser.add_argument("--sets", nargs="+", default=list(PLANTED), help="which sets; default: the planted ones")
    parser.add_argument("--rules", nargs="+", default=list(RATES), help="which rules; default: both")
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="more options of dlrm train; last")
    parser.add_argument("--by-frequency", action="store_true", help="only the tables of loss by frequency, with SGD at 0.1")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, of one thread each")
    args = parser.parse_args()
    args.dir.mkdir(parents=True, exist_ok=True)
    study = Study(args)
    for name in args.sets:
        for seed in (TUNING_SEED, *SEEDS):
            study.prepared(name, seed)
        if args.by_frequency:
            sgd = rule_of("sgd", RATES["sgd"][0]) + args.options
            frequency_table(study, name, SEEDS[0], [(text, sgd + options) for text, options in
                                                    [DENSE, COMPRESSED, VARIANTS[0], ELEMENT_WISE, VARIANTS[-1]]])
        else:
            one_set(study, name, args.rules, args.options)


if __name__ == "__main__":
    main()
