#!/usr/bin/env python3
"""Pictures per second that timm's training transform prepares in one process, beside parts_bench's RandAugment32.

    python3 bench/timm_augment.py [auto_augment] [image_size]     (needs timm and torchvision)

Both take the same picture in memory, 32 x 32 by default: random resized crop (0.8 to 1), flip, the policy. timm's ends in
a normalised tensor, vitd's in bytes, which the trainer normalises a batch at a time.
"""

import sys
import time

try:
    import torchvision_cpu  # noqa: F401  (names torchvision's operators where the build of torch lacks them)
except ImportError:
    pass
import numpy as np
import torch
from PIL import Image, ImageOps
from timm.data.transforms_factory import transforms_imagenet_train

SECONDS = 10.0


# Pillow 13 refuses the 0 bits that timm's Posterize asks for now and then.
_posterize = ImageOps.posterize
ImageOps.posterize = lambda image, bits: _posterize(image, max(bits, 1))


def measure(name, transform, image):
    for _ in range(200):
        transform(image)
    count, start = 0, time.perf_counter()
    while (taken := time.perf_counter() - start) < SECONDS:
        for _ in range(100):
            transform(image)
        count += 100
    print(f"{name:30} {count / taken:9.0f} images/s")


def main():
    policy = sys.argv[1] if len(sys.argv) > 1 else "rand-m9-mstd0.5-inc1"
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 32
    torch.set_num_threads(1)
    x, y, c = np.meshgrid(np.arange(size), np.arange(size), np.arange(3))
    image = Image.fromarray((255 * x // size // 2 + (x // 3 * 7 + y // 5 * 11 + (x ^ y) // (c + 2) * 3) % 97).astype("uint8"))
    common = dict(img_size=size, scale=(0.8, 1.0), interpolation="bicubic", color_jitter=None)
    measure("crop and flip", transforms_imagenet_train(**common), image)
    measure(policy, transforms_imagenet_train(**common, auto_augment=policy), image)
    # As timm's loader runs it: the batch is normalised elsewhere.
    prefetched = transforms_imagenet_train(**common, auto_augment=policy, use_prefetcher=True)
    measure(f"{policy}, bytes", prefetched, image)


if __name__ == "__main__":
    main()
