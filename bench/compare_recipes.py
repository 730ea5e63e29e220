#!/usr/bin/env python3
"""Trains CIFAR-10 by several recipes, a few seeds each, on a running vitd, and prints the results.

    python3 bench/compare_recipes.py EXPERIMENT --data folder:/data/cifar10 [--epochs N] [--svg FILE] [-- VITCTL_OPTIONS]

EXPERIMENT is a name of EXPERIMENTS below. Prints a table of test accuracies, final and by class, and draws the curves of
the test accuracy. A run that already exists (by name) is not started again, so that an interrupted comparison
continues where it was. VITCTL_OPTIONS: --server, for example. The source's validation split is CIFAR-10's test set.
"""

import argparse
import json
import pathlib
import subprocess
import sys
from statistics import mean

VITCTL = pathlib.Path(__file__).resolve().parents[1] / "build/release/bin/vitctl"

WEIGHTED = ["loss.class_weighting=CLASS_WEIGHTING_INVERSE_FREQUENCY"]
HARDEST = ["loss.hardest_fraction=0.5"]
SAMPLER = ["data.sampler=SAMPLER_CLASS_BALANCED"]
STRONG = [
    "data.train.crop=TRAIN_CROP_RANDOM_RESIZED", "data.train.scale_min=0.8", "data.train.auto_augment=rand-m9-mstd0.5-inc1",
    "mixing.mixup_alpha=0.8", "mixing.cutmix_alpha=1", "label_smoothing=0.1", "optimizer.weight_decay=0.06",
]  # fmt: skip

# The preset, what is set for all variants, epochs, seeds, and the variants' own settings.
EXPERIMENTS = {
    "imbalance": {
        "preset": "cifar10_imbalanced_baseline",
        "set": ["model.patch_size=8", "model.embed_dim=64", "model.depth=3", "model.representation_size=64"],
        "epochs": 15,
        "seeds": [1, 2, 3],
        "variants": {
            "plain": [],
            "weighted": WEIGHTED,
            "hardest half": HARDEST,
            "balanced draws": SAMPLER,
            "all together": WEIGHTED + HARDEST + SAMPLER,
        },
    },
    "strong": {
        "preset": "cifar10_small",
        "set": [],
        "epochs": 20,
        "seeds": [1],
        "variants": {"plain": [], "strong": STRONG},
    },
    # 5,000 images instead of 50,000, for as many updates.
    "strong_few": {
        "preset": "cifar10_small",
        "set": ["model.patch_size=8", "model.embed_dim=64", "model.depth=3", "model.num_heads=4", "data.per_class_limit=500"],
        "epochs": 200,
        "seeds": [1],
        "variants": {"plain": [], "strong": STRONG},
    },
}

COLORS = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b"]


class Vitctl:
    def __init__(self, options):
        self.options = options

    def __call__(self, *arguments):
        done = subprocess.run([VITCTL, *self.options, "-o", "json", *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"vitctl {' '.join(arguments)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def watch(self, run):
        """Returns when the run has ended."""
        code = subprocess.run([VITCTL, *self.options, "watch", run], stdout=subprocess.DEVNULL).returncode
        if code != 0:
            raise SystemExit(f"run {run} did not succeed: vitctl watch ended with {code}")


def train(vitctl, name, experiment, data, epochs):
    """{variant: [results of a seed: curve and evaluation]}"""
    there = {run.get("name") for run in vitctl("runs").get("runs", [])}
    runs = {}
    for variant, settings in experiment["variants"].items():
        for seed in experiment["seeds"]:
            run = f"{name}-{variant.replace(' ', '-')}-{seed}"
            runs.setdefault(variant, []).append(run)
            if run in there:
                continue
            sets = [*experiment["set"], *settings, f"epochs={epochs}", f"seed={seed}"]
            options = [part for field in sets for part in ("--set", field)]
            vitctl("start-run", "--preset", experiment["preset"], "--data", data, "--name", run, *options)
    results = {}
    for variant, names in runs.items():
        for run in names:
            vitctl.watch(run)
            points = vitctl("history", run)["points"]
            validation = [point for point in points if point["split"] == "SPLIT_VALIDATION"]
            training = [point for point in points if point["split"] == "SPLIT_TRAIN"]
            training = [point for point in training if point["epoch"] > training[-1]["epoch"] - 1]
            last = vitctl("evaluation", run, "--step", validation[-1]["step"])["evaluation"]
            result = {
                "curve": [(point["epoch"], 100 * point.get("accuracy", 0)) for point in validation],
                "train loss": mean(point["loss"] for point in training),
                "train accuracy": 100 * mean(point.get("accuracy", 0) for point in training),
                "loss": last["loss"],
                "accuracy": 100 * last["accuracy"],
                "classes": {one["name"]: 100 * one.get("recall", 0) for one in last["classes"]},
            }
            results.setdefault(variant, []).append(result)
            print(f"{run}: {result['accuracy']:.2f} %", file=sys.stderr)
    return results


def print_tables(results):
    print("| | test accuracy | of the seeds | test loss | accuracy as trained | loss as trained |")
    print("|---|---|---|---|---|---|")
    for variant, seeds in results.items():
        each = ", ".join(f"{seed['accuracy']:.1f}" for seed in seeds)
        print(f"| {variant} | {mean(seed['accuracy'] for seed in seeds):.1f} % | {each} | "
              f"{mean(seed['loss'] for seed in seeds):.3f} | {mean(seed['train accuracy'] for seed in seeds):.1f} % | "
              f"{mean(seed['train loss'] for seed in seeds):.3f} |")  # fmt: skip
    classes = list(next(iter(results.values()))[0]["classes"])
    print("\n| |", " | ".join(classes), "|")
    print("|---" * (len(classes) + 1) + "|")
    for variant, seeds in results.items():
        print(f"| {variant} |", " | ".join(f"{mean(seed['classes'][c] for seed in seeds):.1f}" for c in classes), "|")


def draw(results, path):
    """The mean curve of each variant, as SVG."""
    width, height, left, bottom, top = 640, 360, 48, 40, 16
    curves = {
        variant: [(point[0][0], mean(accuracy for _, accuracy in point)) for point in zip(*(seed["curve"] for seed in seeds))]
        for variant, seeds in results.items()
    }
    last = max(epoch for curve in curves.values() for epoch, _ in curve)
    accuracies = [accuracy for curve in curves.values() for _, accuracy in curve]
    low, high = 5 * int(min(accuracies) / 5), 5 * (int(max(accuracies) / 5) + 1)

    def at(epoch, accuracy):
        x = left + (width - left - 150) * epoch / last
        return x, top + (height - top - bottom) * (high - accuracy) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for accuracy in range(low, high + 1, 5):
        (x0, y), (x1, _) = at(0, accuracy), at(last, accuracy)
        parts.append(f'<line x1="{x0:.1f}" y1="{y:.1f}" x2="{x1:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x0 - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{accuracy} %</text>')
    for epoch in range(0, int(last) + 1, max(1, int(last) // 10)):
        x, y = at(epoch, low)
        parts.append(f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle">{epoch}</text>')
    x, y = at(last / 2, low)
    parts.append(f'<text x="{x:.1f}" y="{y + 34:.1f}" text-anchor="middle">epochs</text>')
    # Names beside the ends of their curves, moved apart if these meet.
    ends = sorted((at(*curve[-1])[1], variant) for variant, curve in curves.items())
    places, lowest = {}, 0
    for y, variant in ends:
        lowest = max(y, lowest + 15)
        places[variant] = lowest
    for color, (variant, curve) in zip(COLORS, curves.items()):
        points = " ".join("{:.1f},{:.1f}".format(*at(*point)) for point in curve)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts.append(f'<text x="{at(last, low)[0] + 8:.1f}" y="{places[variant] + 4:.1f}" fill="{color}">{variant}</text>')
    pathlib.Path(path).write_text("\n".join([*parts, "</svg>\n"]))


def main():
    arguments, options = sys.argv[1:], []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, options = arguments[:at], arguments[at + 1 :]
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].strip())
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--svg")
    chosen = parser.parse_args(arguments)
    experiment = EXPERIMENTS[chosen.experiment]
    results = train(Vitctl(options), chosen.experiment, experiment, chosen.data, chosen.epochs or experiment["epochs"])
    print_tables(results)
    if chosen.svg:
        draw(results, chosen.svg)


if __name__ == "__main__":
    main()
