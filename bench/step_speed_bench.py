#!/usr/bin/env python3
"""Compares vitd's training steps, end to end, with timm's on data in memory, eager and compiled, in both precisions, in turns.

    python3 bench/step_speed_bench.py [ROUNDS]       (default 3)

ViTs for 32 x 32 images, patch 4, batch 64: width 192 depth 12, and width 384 depth 7. AdamW (fused), clipping at norm 1, two
threads. timm and torch come from PyPI into build/bench-venv at the first run. Prints medians of images/s, and vitd's ratio to
the same precision's best and to timm's best of both.
"""

import pathlib
import statistics
import subprocess
import sys
import time

SOURCE = pathlib.Path(__file__).resolve().parents[1]
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "scripts"))
from reference_environment import enter_environment, import_torchvision  # noqa: E402

TRAINING_SPEED = SOURCE / "build/release/bin/training_speed"
PACKAGES = ["numpy==2.4.6", "pillow==13.0.0", "timm==1.0.31", "torchvision==0.28.0"]
MODELS = [(192, 12, 3), (384, 7, 6)]
BATCH, THREADS, SECONDS = 64, 2, 15


def own_rate(width, depth, heads, precision):
    done = subprocess.run(
        [TRAINING_SPEED, "12", "cifar10_small", f"model.embed_dim={width}", f"model.depth={depth}", f"model.num_heads={heads}",
         f"batch_size={BATCH}", f"precision={precision}", f"compute_threads={THREADS}"],
        check=True, capture_output=True, text=True)
    values = dict(item.split("=") for item in done.stdout.split())
    return float(values["end_to_end"])


class Timm:
    def __init__(self, width, depth, heads, precision, compiled):
        import timm
        import torch

        torch.set_num_threads(THREADS)
        torch.manual_seed(1)
        self.torch, self.bfloat16 = torch, precision == "bfloat16"
        self.model = timm.models.VisionTransformer(
            img_size=32, patch_size=4, embed_dim=width, depth=depth, num_heads=heads, num_classes=10, class_token=False,
            global_pool="avg", fc_norm=False)
        self.forward = torch.compile(self.model) if compiled else self.model
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 1e-3, weight_decay=0.05, fused=True)
        self.images, self.labels = torch.randn(BATCH, 3, 32, 32), torch.randint(0, 10, (BATCH,))
        for _ in range(3):
            self.step()

    def step(self):
        torch = self.torch
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            loss = torch.nn.functional.cross_entropy(self.forward(self.images).float(), self.labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def rate(self):
        self.step()
        steps, start = 0, time.perf_counter()
        while (taken := time.perf_counter() - start) < SECONDS:
            self.step()
            steps += 1
        return BATCH * steps / taken


def compare(width, depth, heads, rounds):
    print(f"width {width}, depth {depth}, batch {BATCH}, {THREADS} threads", flush=True)
    kinds = [(precision, compiled) for precision in ("float32", "bfloat16") for compiled in (False, True)]
    timms = {kind: Timm(width, depth, heads, *kind) for kind in kinds}
    own, other = {}, {kind: [] for kind in kinds}
    for _ in range(rounds):
        for precision in ("float32", "bfloat16"):
            own.setdefault(precision, []).append(own_rate(width, depth, heads, precision))
            for compiled in (False, True):
                other[precision, compiled].append(timms[precision, compiled].rate())
    best_of_timm = max(statistics.median(rates) for rates in other.values())
    for precision in ("float32", "bfloat16"):
        vitd = statistics.median(own[precision])
        eager, compiled = (statistics.median(other[precision, kind]) for kind in (False, True))
        print(f"  {precision:9} vitd {vitd:7.1f}   timm eager {eager:7.1f}   compiled {compiled:7.1f}   "
              f"ratio {vitd / max(eager, compiled):.2f}   to timm's best {vitd / best_of_timm:.2f}", flush=True)


def main():
    if not enter_environment(SOURCE, SOURCE / "build/bench-venv", PACKAGES):
        sys.exit("step_speed_bench: timm is missing and could not be installed")
    _torchvision = import_torchvision()  # for timm
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    for model in MODELS:
        compare(*model, rounds)


if __name__ == "__main__":
    main()
