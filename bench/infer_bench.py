#!/usr/bin/env python3
"""Compares vitd's frozen model, from pixels to logits, with PyTorch (eager and compiled), ONNX Runtime and OpenVINO.

    python3 bench/infer_bench.py [ROUNDS] [MODEL...]       (default 3, all models)

vit_tiny and vit_small at 224 x 224 and cifar10_small's model, at batch 1, 4 and 16, two threads, float32 and bfloat16 (where
a program has it). All take turns in each round; a turn is a fixed number of passes. Prints the median over the rounds of each
turn's median, in images/s, vitd's ratio to the best other one in the same precision, and for how many of 256 random images
bfloat16 gives the same class as float32. The programs come from PyPI into build/infer-bench-venv at the first run.
"""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

SOURCE = pathlib.Path(__file__).resolve().parents[1]
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "scripts"))
from reference_environment import enter_environment, import_torchvision  # noqa: E402

INFER_SPEED = SOURCE / "build/release/bin/infer_speed"
PACKAGES = ["numpy==2.4.6", "timm==1.0.31", "torchvision==0.28.0", "onnx==1.23.2", "onnxscript==0.7.2", "onnxruntime==1.32.0",
            "openvino==2026.4.1"]
THREADS = 2
BATCHES = [1, 4, 16]
PRECISIONS = ["float32", "bfloat16"]
# By name: vitd's ModelConfig, timm's arguments, images in a turn.
MODELS = {
    "vit_tiny": (dict(image_size=224, patch_size=16, embed_dim=192, depth=12, num_heads=3, num_classes=1000), 240),
    "vit_small": (dict(image_size=224, patch_size=16, embed_dim=384, depth=12, num_heads=6, num_classes=1000), 96),
    "cifar10_small": (dict(image_size=32, patch_size=4, embed_dim=96, depth=4, num_heads=3, num_classes=10), 6000),
}


def passes(images, batch):
    return max(10, images // batch)


def median_rate(run, batch, count):
    for _ in range(3):
        run()
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return batch / statistics.median(seconds)


def own(config, batch, precision, images):
    text = " ".join(f"{field}: {value}" for field, value in config.items())
    done = subprocess.run(
        [INFER_SPEED, "--threads", str(THREADS), "--agreement", text, str(batch), precision, str(passes(images, batch))],
        check=True, capture_output=True, text=True)
    values = dict(item.split("=") for item in done.stdout.split())
    return float(values["images_per_second"]), float(values["agreement"])


def timm_model(config):
    import timm

    names = {"image_size": "img_size"}
    return timm.models.VisionTransformer(**{names.get(field, field): value for field, value in config.items()}).eval()


def torch_runner(model, batch, size, bfloat16, compiled):
    import torch

    forward = torch.compile(model) if compiled else model
    images = torch.randn(batch, 3, size, size)

    def run():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            forward(images)

    return run


def torch_cast_runner(config, batch, size, compiled):
    """bfloat16 without autocast: the weights are cast once."""
    import torch

    model = timm_model(config).to(torch.bfloat16)
    forward = torch.compile(model) if compiled else model
    images = torch.randn(batch, 3, size, size).to(torch.bfloat16)

    def run():
        with torch.inference_mode():
            forward(images)

    return run


def onnx_runner(path, batch, size):
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    images = numpy.random.rand(batch, 3, size, size).astype(numpy.float32)
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: images})


def openvino_runner(path, batch, size, precision):
    import numpy
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    model.reshape([batch, 3, size, size])
    hint = {"float32": openvino.Type.f32, "bfloat16": openvino.Type.bf16}[precision]
    compiled = core.compile_model(model, "CPU", {
        "INFERENCE_NUM_THREADS": THREADS, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint})
    request = compiled.create_infer_request()
    images = numpy.random.rand(batch, 3, size, size).astype(numpy.float32)
    return lambda: request.infer({0: images})


def others(config, batch, folder):
    """Returns (program, precision) -> a function that computes a batch."""
    import torch

    size, model = config["image_size"], timm_model(config)
    path = folder / f"{batch}.onnx"
    with torch.inference_mode():
        torch.onnx.export(model, (torch.randn(batch, 3, size, size),), str(path), dynamo=True, verbose=False)
    runners = {}
    for precision in PRECISIONS:
        bfloat16 = precision == "bfloat16"
        for compiled in (False, True):
            name = "torch compiled" if compiled else "torch eager"
            runners[name, precision] = torch_runner(model, batch, size, bfloat16, compiled)
            if bfloat16:
                runners[f"{name} cast", precision] = torch_cast_runner(config, batch, size, compiled)
        runners["OpenVINO", precision] = openvino_runner(path, batch, size, precision)
    runners["ONNX Runtime", "float32"] = onnx_runner(path, batch, size)
    return runners


def compare(name, batch, rounds):
    config, images = MODELS[name]
    with tempfile.TemporaryDirectory() as folder:
        runners = others(config, batch, pathlib.Path(folder))
    rates, agreement = {}, 0
    for _ in range(rounds):
        for precision in PRECISIONS:
            rate, agreement = own(config, batch, precision, images)
            rates.setdefault(("vitd", precision), []).append(rate)
        for key, run in runners.items():
            rates.setdefault(key, []).append(median_rate(run, batch, passes(images, batch)))
    median = {key: statistics.median(values) for key, values in rates.items()}
    print(f"{name}, batch {batch}, {THREADS} threads", flush=True)
    for precision in PRECISIONS:
        theirs = {program: rate for (program, of), rate in median.items() if of == precision and program != "vitd"}
        best = max(theirs, key=theirs.get)
        line = "   ".join(f"{program} {rate:.1f}" for program, rate in sorted(theirs.items()))
        print(f"  {precision:9} vitd {median['vitd', precision]:.1f}   {line}   "
              f"to {best} {median['vitd', precision] / theirs[best]:.2f}", flush=True)
    print(f"  bfloat16 gives float32's class for {100 * agreement:.1f} % of random images", flush=True)


def main():
    if not enter_environment(SOURCE, SOURCE / "build/infer-bench-venv", PACKAGES):
        sys.exit("infer_bench: a program to compare with is missing and could not be installed")
    import torch

    _torchvision = import_torchvision()  # for timm
    warnings.simplefilter("ignore")  # torch.onnx's about its own parts
    torch.set_num_threads(THREADS)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    for name in sys.argv[2:] or MODELS:
        for batch in BATCHES:
            compare(name, batch, rounds)


if __name__ == "__main__":
    main()
