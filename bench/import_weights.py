#!/usr/bin/env python3
"""Measures how long vit_base_patch16_224 takes from a weight file to its first answer, and how much memory, for each format.

    python3 -m venv timm && timm/bin/pip install torch timm
    timm/bin/python bench/import_weights.py build/release/bin

Starts a separate vitd for each file; `vitctl import` adds the file to its repository, and `vitctl classify` classifies one
image with the model. Prints the seconds of each and of both together, and vitd's peak memory (VmHWM) as a multiple of the
file's size.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy
import timm
import torch
from PIL import Image
from safetensors.torch import save_file


def google_names(state, num_heads):
    """`state` in the names and layouts of Google's ViT checkpoints (https://github.com/google-research/vision_transformer)."""
    out, width = {}, state["cls_token"].shape[-1]

    def dense(name, source):
        out[f"{name}/kernel"], out[f"{name}/bias"] = state[f"{source}.weight"].T, state[f"{source}.bias"]

    def norm(name, source):
        out[f"{name}/scale"], out[f"{name}/bias"] = state[f"{source}.weight"], state[f"{source}.bias"]

    out["cls"] = state["cls_token"]
    out["Transformer/posembed_input/pos_embedding"] = state["pos_embed"]
    out["embedding/kernel"] = state["patch_embed.proj.weight"].permute(2, 3, 1, 0)
    out["embedding/bias"] = state["patch_embed.proj.bias"]
    for i in range(sum(name.endswith("attn.qkv.bias") for name in state)):
        block, here = f"Transformer/encoderblock_{i}", f"blocks.{i}"
        norm(f"{block}/LayerNorm_0", f"{here}.norm1")
        norm(f"{block}/LayerNorm_2", f"{here}.norm2")
        attention = f"{block}/MultiHeadDotProductAttention_1"
        weights = state[f"{here}.attn.qkv.weight"].chunk(3)
        biases = state[f"{here}.attn.qkv.bias"].chunk(3)
        for name, weight, bias in zip(("query", "key", "value"), weights, biases):
            out[f"{attention}/{name}/kernel"] = weight.T.reshape(width, num_heads, -1)
            out[f"{attention}/{name}/bias"] = bias.reshape(num_heads, -1)
        out[f"{attention}/out/kernel"] = state[f"{here}.attn.proj.weight"].T.reshape(num_heads, -1, width)
        out[f"{attention}/out/bias"] = state[f"{here}.attn.proj.bias"]
        dense(f"{block}/MlpBlock_3/Dense_0", f"{here}.mlp.fc1")
        dense(f"{block}/MlpBlock_3/Dense_1", f"{here}.mlp.fc2")
    norm("Transformer/encoder_norm", "norm")
    dense("head", "head")
    return {name: numpy.ascontiguousarray(value.numpy()) for name, value in out.items()}


def measure(bin_dir, file, folder):
    state = folder / f"state-{file.suffix[1:]}-{file.stem}"
    vitd = subprocess.Popen(
        [bin_dir / "vitd", "--state-dir", state, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0",
         "--data-root", folder, "--log-level", "error"])  # fmt: skip
    try:
        while not (state / "vitd.ports").exists():
            time.sleep(0.05)
        port = json.loads((state / "vitd.ports").read_text())["grpc"]
        environment = dict(os.environ, VITCTL_SERVER=f"127.0.0.1:{port}")

        def vitctl(*arguments):
            start = time.monotonic()
            subprocess.run([bin_dir / "vitctl", *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)
            return time.monotonic() - start

        imported = vitctl("import", file, "--name", "base")
        answered = vitctl("classify", "--model", "base", folder / "image.png")
        status = pathlib.Path(f"/proc/{vitd.pid}/status").read_text()
        peak = 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
    finally:
        vitd.terminate()
        vitd.wait()
    size = file.stat().st_size
    print(f"{file.name:20} {size / 1e6:6.0f} MB   import {imported:.2f} s   first answer {answered:.2f} s   "
          f"together {imported + answered:.2f} s   peak {peak / size:.2f} x the file", flush=True)  # fmt: skip


def main(bin_dir):
    torch.manual_seed(0)
    model = timm.create_model("vit_base_patch16_224", pretrained=False)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        Image.fromarray(numpy.random.default_rng(0).integers(0, 256, (300, 400, 3), numpy.uint8)).save(folder / "image.png")
        save_file(state, folder / "base.safetensors")
        torch.save(state, folder / "base.pth")
        arrays = google_names(state, num_heads=12)
        numpy.savez(folder / "stored.npz", **arrays)
        numpy.savez_compressed(folder / "compressed.npz", **arrays)
        for name in ("base.safetensors", "base.pth", "stored.npz", "compressed.npz"):
            measure(bin_dir, folder / name, folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(pathlib.Path(sys.argv[1]).resolve())
