#!/usr/bin/env python3
"""Makes tests/data/resample/: a small drawing and what Pillow and torchvision's arithmetic make of it.

    python3 tests/data/make_resample_reference.py     (needs Pillow; the files in the tree were made with version 13)

Every file is PPM (P6), so that the test needs no decoder. cases.txt has one line per case:
    name interpolation width height left top right bottom        for resize
    name eval interpolation image_size crop_pct                   for the evaluation transform
"""

import math
import pathlib

from PIL import Image, ImageDraw

OUT = pathlib.Path(__file__).parent / "resample"
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def drawing(width, height):
    """Sharp edges, thin lines and gradients, so that every rounding and overshoot shows."""
    image = Image.new("RGB", (width, height))
    for y in range(height):
        for x in range(width):
            image.putpixel((x, y), (x * 255 // (width - 1), y * 255 // (height - 1), (x * 7 + y * 13) % 256))
    draw = ImageDraw.Draw(image)
    draw.ellipse((5, 4, width // 2, height - 6), fill=(255, 255, 255), outline=(0, 0, 0))
    draw.polygon([(width - 5, 3), (width // 2, height // 2), (width - 9, height - 4)], fill=(250, 20, 10))
    for i in range(0, width, 6):
        draw.line((i, height - 1, width - i, 0), fill=(0, 0, (i * 5) % 256))
    return image


def resize(image, width, height, resample, box=None):
    """image.resize((width, height), resample, box) with the pass across first, as every Pillow before 13 does it; since then
    it goes down first where that is cheaper, which rounds differently."""
    left, top, right, bottom = box or (0.0, 0.0, float(image.width), float(image.height))
    across = image.resize((width, image.height), resample, (left, 0.0, right, float(image.height)))
    return across.resize((width, height), resample, (0.0, top, float(width), bottom))


def evaluation(image, image_size, crop_pct, resample):
    """timm's evaluation transform up to the tensor: Resize(short side) and CenterCrop as torchvision computes them."""
    short = math.floor(image_size / crop_pct)
    width, height = image.size
    size = (short, int(short * height / width)) if width <= height else (int(short * width / height), short)
    if size != image.size:
        image = resize(image, *size, resample)
    top = int(round((image.height - image_size) / 2.0))
    left = int(round((image.width - image_size) / 2.0))
    return image.crop((left, top, left + image_size, top + image_size))


def main():
    OUT.mkdir(exist_ok=True)
    source = drawing(71, 53)
    source.save(OUT / "source.ppm")
    lines = []
    resizes = [
        ("down", 32, 24, None), ("down_much", 7, 5, None), ("up", 100, 90, None), ("wide", 130, 20, None),
        ("narrow", 20, 80, None), ("across_only", 40, 53, None), ("down_only", 71, 30, None), ("same", 71, 53, None),
        ("box", 32, 32, (10.0, 5.0, 60.0, 45.0)), ("box_fraction", 24, 40, (3.3, 7.75, 50.6, 41.2)),
        ("box_up", 64, 64, (20.5, 20.25, 37.5, 30.75)), ("one_pixel", 1, 1, None),
    ]
    for name, width, height, box in resizes:
        for filter_name, resample in FILTERS.items():
            case = f"{name}_{filter_name}"
            box = box or (0.0, 0.0, float(source.width), float(source.height))
            resize(source, width, height, resample, box).save(OUT / f"{case}.ppm")
            lines.append(f"{case} {filter_name} {width} {height} " + " ".join(str(v) for v in box))
    for image_size, crop_pct in [(32, 0.875), (48, 0.9), (40, 1.0), (53, 1.0), (64, 0.95)]:
        for filter_name, resample in FILTERS.items():
            case = f"eval_{image_size}_{filter_name}"
            evaluation(source, image_size, crop_pct, resample).save(OUT / f"{case}.ppm")
            lines.append(f"{case} eval {filter_name} {image_size} {crop_pct}")
    (OUT / "cases.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
