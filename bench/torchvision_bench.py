#!/usr/bin/env python3
"""Training images per second, on one core: vitd's loader (loader_bench) beside torchvision and timm, in turns.

    python3 bench/torchvision_bench.py [FOLDER]       (FOLDER: train/<class>/*.jpg; else generated photographs)

JPEG files to 224 x 224: random resized crop (0.08 to 1, bilinear), flip, normalised; torchvision's pipeline starts with
Pillow's decoder. 32 x 32 images in memory: random resized crop (0.8 to 1), flip, RandAugment rand-m9-mstd0.5-inc1; timm's
pipeline. The packages come from PyPI into build/bench-venv at the first run.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[1]
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "scripts"))
from reference_environment import enter_environment, import_torchvision  # noqa: E402

LOADER_BENCH = SOURCE / "build/release/bin/loader_bench"
PACKAGES = ["numpy==2.4.6", "pillow==13.0.0", "timm==1.0.31", "torchvision==0.28.0"]
SECONDS = 4.0
ROUNDS = 5


def rate(prepare):
    """Calls of prepare(i) per second."""
    for i in range(20):
        prepare(i)
    count, start = 0, time.perf_counter()
    while (taken := time.perf_counter() - start) < SECONDS:
        for _ in range(20):
            prepare(count)
            count += 1
    return count / taken


def own_rate(what):
    done = subprocess.run([LOADER_BENCH, "rate", what], check=True, capture_output=True, text=True)
    return float(done.stdout)


def compare(title, what, other_name, prepare, goal):
    rounds = [(own_rate(what), rate(prepare)) for _ in range(ROUNDS)]
    ratio = statistics.median(own / other for own, other in rounds)
    own, other = (statistics.median(column) for column in zip(*rounds))
    print(title)
    print(f"  vitd         {own:10.1f} images/s")
    print(f"  {other_name:12} {other:10.1f} images/s")
    print(f"  ratio        {ratio:10.2f}  (goal {goal})", flush=True)


def jpeg_files(folder):
    import torch
    from PIL import Image
    from torchvision import transforms

    paths = sorted(path for path in (folder / "train").rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    transform = transforms.Compose([
        transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ])  # fmt: skip

    def prepare(i):
        with open(paths[i % len(paths)], "rb") as file:
            return transform(Image.open(file).convert("RGB"))

    assert prepare(0).shape == torch.Size([3, 224, 224])
    compare(f"{len(paths)} JPEG files to 224 x 224", folder, "torchvision", prepare, 2)


def rand_augment():
    import numpy
    from PIL import Image, ImageOps
    from timm.data.transforms_factory import transforms_imagenet_train

    # Pillow 13 refuses the 0 bits that timm's Posterize sometimes asks for.
    posterize = ImageOps.posterize
    ImageOps.posterize = lambda image, bits: posterize(image, max(bits, 1))
    x, y, c = numpy.meshgrid(numpy.arange(32), numpy.arange(32), numpy.arange(3))
    pixels = 255 * x // 32 // 2 + (x // 3 * 7 + y // 5 * 11 + (x ^ y) // (c + 2) * 3) % 97
    image = Image.fromarray(pixels.astype("uint8"))
    transform = transforms_imagenet_train(
        img_size=32, scale=(0.8, 1.0), interpolation="bicubic", color_jitter=None, auto_augment="rand-m9-mstd0.5-inc1"
    )
    compare("RandAugment on 32 x 32", "randaugment", "timm", lambda _: transform(image), 5)


def main():
    if not LOADER_BENCH.exists():
        sys.exit(f"{LOADER_BENCH} is missing: run `make all`")
    if not enter_environment(SOURCE, SOURCE / "build/bench-venv", PACKAGES):
        print("skipped: torchvision and timm could not be installed (pip's reason is above)")
        return
    os.environ.update(HF_HUB_OFFLINE="1")
    import torch

    _, operators = import_torchvision()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        if len(sys.argv) == 1:
            subprocess.run([LOADER_BENCH, "write", folder], check=True)
        jpeg_files(folder)
    rand_augment()
    del operators


if __name__ == "__main__":
    main()
