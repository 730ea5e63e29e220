#!/usr/bin/env python3
"""Compares vitd with Triton (nvidia-pytriton, timm under PyTorch, dynamic batches of up to 16) at serving JPEGs.

    python3 bench/compare_triton.py [FOLDER] [SECONDS]       (default: generated photographs, 8 seconds)

Both get the same weights, images and client, Triton's perf_analyzer, one after the other in each round, with 1 and 16 clients
on the same processors. Prints images/s and latencies, and beside them the rate of vitd's frozen model alone with decoding
(infer_speed --files). The programs come from PyPI into build/triton-bench-venv at the first run; perf_analyzer needs Debian's
libb64-0d.
"""

import base64
import csv
import json
import os
import pathlib
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[1]
BIN = SOURCE / "build/release/bin"
sys.dont_write_bytecode = True
sys.path[:0] = [str(SOURCE / "scripts"), str(SOURCE / "tests/interop")]
from interop_test import Daemon  # noqa: E402
from reference_environment import enter_environment, import_torchvision  # noqa: E402

PACKAGES = ["timm==1.0.31", "torchvision==0.28.0", "safetensors==0.8.0", "nvidia-pytriton==0.7.0", "tritonclient[grpc]==2.51.0",
            "nvidia-cuda-runtime-cu12==12.9.79"]  # fmt: skip
THREADS = 2
ROUNDS = 3
MODELS = {"vit_tiny_patch16_224": (192, 3), "vit_small_patch16_224": (384, 6)}
PRECISIONS = ["bfloat16", "float32"]
CLIENTS = [1, 16]


def make_model(name):
    import timm
    import torch

    torch.manual_seed(1)
    return timm.create_model(name, pretrained=False).eval()


def serve_triton(name, precision, port):
    """Runs Triton in this process until it is killed."""
    import io
    from concurrent.futures import ThreadPoolExecutor

    import numpy
    import torch
    from PIL import Image
    from pytriton.decorators import batch
    from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
    from pytriton.triton import Triton, TritonConfig, TritonSecurityConfig
    from timm.data import create_transform

    torch.set_num_threads(THREADS)
    dtype = getattr(torch, precision)
    model = make_model(name).to(dtype)
    transform = create_transform(224, mean=(0.5,) * 3, std=(0.5,) * 3, crop_pct=0.9, interpolation="bicubic")
    decoders = ThreadPoolExecutor(THREADS)

    def decode(content):
        return transform(Image.open(io.BytesIO(content)).convert("RGB"))

    @batch
    def infer(IMAGE):
        images = torch.stack(list(decoders.map(decode, (row[0] for row in IMAGE))))
        with torch.inference_mode():
            return {"SCORES": model(images.to(dtype)).float().softmax(1).numpy()}

    ports = TritonConfig(grpc_port=port, http_port=port + 1, metrics_port=port + 2)
    with Triton(config=ports, security_config=TritonSecurityConfig(restricted_endpoints=[])) as triton:
        triton.bind(model_name="vit", infer_func=infer, inputs=[Tensor(name="IMAGE", dtype=bytes, shape=(1,))],
                    outputs=[Tensor(name="SCORES", dtype=numpy.float32, shape=(1000,))],
                    config=ModelConfig(max_batch_size=16, batcher=DynamicBatcher(max_queue_delay_microseconds=0)))  # fmt: skip
        triton.serve()


class TritonServer:
    PORT = 28001

    def __init__(self, name, precision):
        self.arguments = [sys.executable, __file__, "--serve", name, precision, str(self.PORT)]
        self.address = f"127.0.0.1:{self.PORT}"

    def __enter__(self):
        import tritonclient.grpc as triton

        self.process = subprocess.Popen(self.arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        client, deadline = triton.InferenceServerClient(self.address), time.monotonic() + 120
        while True:
            try:
                if client.is_model_ready("vit"):
                    return self
            except triton.InferenceServerException:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise SystemExit(f"Triton does not start; this shows why: {' '.join(self.arguments)}")
            time.sleep(0.2)

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def write_images(folder):
    """Writes 32 smooth JPEGs of 500 x 375."""
    import numpy
    from PIL import Image

    random = numpy.random.default_rng(1)
    for i in range(32):
        coarse = Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=numpy.uint8))
        image = numpy.asarray(coarse.resize((500, 375), Image.BICUBIC), numpy.int16) + random.integers(-8, 9, (375, 500, 3))
        Image.fromarray(image.clip(0, 255).astype(numpy.uint8)).save(folder / f"{i}.jpg", quality=92)


def write_requests(images, path):
    """A file for perf_analyzer. The content of a BYTES tensor has the length in front of each element."""
    files = [file.read_bytes() for file in sorted(images.iterdir())][:64]
    contents = [base64.b64encode(struct.pack("<I", len(file)) + file).decode() for file in files]
    path.write_text(json.dumps({"data": [{"IMAGE": {"content": {"b64": text}, "shape": [1]}} for text in contents]}))


def measure(address, model, requests, clients, seconds, report):
    """Returns images/s and latencies in ms: p50, p90, p99."""
    cuda = next(pathlib.Path(sys.prefix).glob("lib/python3*/site-packages/nvidia/cuda_runtime/lib"))
    done = subprocess.run(
        [pathlib.Path(sys.prefix) / "bin/perf_analyzer", "-m", model, "-u", address, "-i", "grpc", "--service-kind", "triton",
         "--concurrency-range", str(clients), "--input-data", requests, "--measurement-interval", str(1000 * seconds),
         "--stability-percentage", "90", "-f", report],
        capture_output=True, text=True, env={"LD_LIBRARY_PATH": str(cuda)})  # fmt: skip
    if done.returncode != 0 or not report.exists():
        raise SystemExit(f"perf_analyzer: {done.stdout[-500:]}{done.stderr[-1000:]}")
    (row,) = csv.DictReader(report.open())
    return [float(row["Inferences/Second"])] + [float(row[f"p{p} latency"]) / 1000 for p in (50, 90, 99)]


def frozen_rate(name, precision, clients, images, seconds):
    width, heads = MODELS[name]
    model = f"image_size: 224 patch_size: 16 embed_dim: {width} depth: 12 num_heads: {heads} num_classes: 1000"
    passes = max(5, int(100 * seconds / clients))
    done = subprocess.run([BIN / "infer_speed", "--threads", str(THREADS), "--files", images, model, str(clients), precision,
                           str(passes)], check=True, capture_output=True, text=True)  # fmt: skip
    return float(dict(item.split("=") for item in done.stdout.split())["mean_images_per_second"])


def import_model(daemon, name, precision):
    from safetensors.torch import save_file

    path = daemon.root / f"{name}.safetensors"
    if not path.exists():
        save_file(make_model(name).state_dict(), path)
    fields = [f"model.num_heads={MODELS[name][1]}", "data.eval.crop_pct=0.9", "data.interpolation=bicubic",
              "data.mean=0.5,0.5,0.5", "data.std=0.5,0.5,0.5"]  # fmt: skip
    sets = [part for field in fields for part in ("--set", field)]
    daemon.vitctl("import", path, "--name", f"{name}.{precision}", "--precision", precision, *sets)


def show(what, measured):
    rate, p50, p90, p99 = (statistics.median(values) for values in zip(*measured))
    print(f"    {what:<14} {rate:7.1f} images/s   p50 {p50:7.1f}   p90 {p90:7.1f}   p99 {p99:7.1f} ms", flush=True)
    return rate


def main():
    if sys.argv[1:2] == ["--serve"]:
        _, torchvision = import_torchvision()
        return serve_triton(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    if not enter_environment(SOURCE, SOURCE / "build/triton-bench-venv", PACKAGES):
        raise SystemExit("compare_triton: the programs could not be installed (pip's reason is above)")
    _, torchvision = import_torchvision()  # defines operators as long as it lives
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        images, requests = work / "images", work / "requests.json"
        if len(sys.argv) > 1:
            images = pathlib.Path(sys.argv[1]).absolute()
        else:
            images.mkdir()
            write_images(images)
        write_requests(images, requests)
        for model in MODELS:
            for precision in PRECISIONS:
                compare(model, precision, images, requests, seconds, work)


def compare(model, precision, images, requests, seconds, work):
    print(f"{model}, {precision}, {THREADS} threads", flush=True)
    results = {(program, clients): [] for program in ("vitd", "Triton") for clients in CLIENTS}
    frozen = {clients: [] for clients in CLIENTS}
    report = work / "report.csv"
    for turn in range(ROUNDS):
        for clients in CLIENTS:
            frozen[clients].append(frozen_rate(model, precision, clients, images, seconds))
        folder = work / f"{model}.{precision}.{turn}"
        folder.mkdir()
        with Daemon(BIN, folder, "--threads", str(THREADS)) as daemon:
            import_model(daemon, model, precision)
            daemon.vitctl("load", f"{model}.{precision}")
            for clients in CLIENTS:
                results["vitd", clients].append(
                    measure(daemon.environment["VITCTL_SERVER"], f"{model}.{precision}", requests, clients, seconds, report))
        with TritonServer(model, precision) as server:
            for clients in CLIENTS:
                results["Triton", clients].append(measure(server.address, "vit", requests, clients, seconds, report))
    for clients in CLIENTS:
        alone = statistics.median(frozen[clients])
        print(f"  {clients} client{'s' * (clients > 1)}; the frozen model alone with decoding: {alone:.1f} images/s")
        own, other = show("vitd", results["vitd", clients]), show("Triton", results["Triton", clients])
        print(f"    vitd to Triton {own / other:.2f}, to the frozen model {own / alone:.2f}")


if __name__ == "__main__":
    sys.exit(main())
