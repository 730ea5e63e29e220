#!/usr/bin/env python3
"""The cifar10_small preset as one would write it with timm and PyTorch, to compare speed and accuracy with.

    python3 -m venv timm && timm/bin/pip install torch timm
    timm/bin/python bench/timm_cifar10_small.py FOLDER [EPOCHS]

FOLDER holds train/<class>/*.jpg and test/<class>/*.jpg. Prints the accuracy and seconds of every epoch, then the total.
"""

import math
import pathlib
import random
import sys
import time

import numpy
import timm
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

BATCH, RATE, PADDING = 128, 1e-3, 4


class Images(Dataset):
    def __init__(self, folder, train):
        classes = sorted(path.name for path in folder.iterdir())
        self.items = [(path, i) for i, name in enumerate(classes) for path in sorted((folder / name).iterdir())]
        self.train = train

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        path, label = self.items[index]
        pixels = numpy.asarray(Image.open(path).convert("RGB"))
        if self.train:
            padded = numpy.pad(pixels, ((PADDING, PADDING), (PADDING, PADDING), (0, 0)))
            top, left = random.randint(0, 2 * PADDING), random.randint(0, 2 * PADDING)
            pixels = padded[top : top + 32, left : left + 32]
            if random.random() < 0.5:
                pixels = pixels[:, ::-1]
        image = torch.from_numpy(numpy.ascontiguousarray(pixels.transpose(2, 0, 1)))
        return image.float().div_(127.5).sub_(1), label


def accuracy(model, loader):
    model.eval()
    with torch.inference_mode():
        right = sum((model(images).argmax(1) == labels).sum().item() for images, labels in loader)
    model.train()
    return right / len(loader.dataset)


def main():
    folder, epochs = pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    torch.manual_seed(0)
    begin = time.monotonic()
    train = DataLoader(Images(folder / "train", True), BATCH, shuffle=True, drop_last=True, num_workers=1)
    test = DataLoader(Images(folder / "test", False), BATCH, num_workers=1)
    model = timm.models.VisionTransformer(
        img_size=32, patch_size=4, embed_dim=96, depth=4, num_heads=3, num_classes=10, class_token=False, global_pool="avg"
    )
    matrices = [p for n, p in model.named_parameters() if p.dim() > 1 and not n.endswith(("_token", "pos_embed"))]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0}], lr=RATE, fused=True
    )
    steps = epochs * len(train)
    warmup = int(0.05 * steps)

    def factor(step):
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    for epoch in range(epochs):
        for images, labels in train:
            loss = torch.nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}: {accuracy(model, test):.2%}, {time.monotonic() - begin:.0f} s", flush=True)
    print(f"total {time.monotonic() - begin:.1f} s")


if __name__ == "__main__":
    main()
