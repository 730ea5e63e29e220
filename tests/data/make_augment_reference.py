#!/usr/bin/env python3
"""Makes tests/data/augment/: small drawings and what Pillow, torchvision and timm make of them.

    python3 tests/data/make_augment_reference.py     (needs Pillow, torchvision and timm; the files in the tree were made
                                                      with 13.0, 0.28 and 1.0.31)

    NAME.png       the drawings: square (32 x 32), pale (32 x 32, little contrast), wide (48 x 40)
    NAME_out.png   one result below the other, in the order of the lines of cases.txt that begin with NAME
    cases.txt      NAME operation arguments...
    levels.txt     family operation magnitude argument: how strong an operation is; a drawn sign is +
    policies.txt   a policy's string and what timm or torchvision makes of it
"""

import math
import pathlib
import random

try:
    import torchvision_cpu  # noqa: F401  (names torchvision's operators where the build of torch lacks them)
except ImportError:
    pass
import timm.data.auto_augment as timm_aa
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps
from torchvision.transforms import autoaugment as tv_aa
from torchvision.transforms import functional as tv

OUT = pathlib.Path(__file__).parent / "augment"
FILL = (124, 116, 104)
RESAMPLING = {"nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR,
              "bicubic": Image.Resampling.BICUBIC}


def drawing(width, height):
    """Gradients, sharp edges, greys and full colours, so that every rounding and overshoot shows."""
    image = Image.new("RGB", (width, height))
    for y in range(height):
        for x in range(width):
            image.putpixel((x, y), (x * 255 // (width - 1), y * 255 // (height - 1), (x * 7 + y * 13) % 256))
    draw = ImageDraw.Draw(image)
    draw.ellipse((3, 4, width // 2, height - 6), fill=(255, 255, 255), outline=(0, 0, 0))
    draw.polygon([(width - 3, 2), (width // 2, height // 2), (width - 5, height - 4)], fill=(250, 20, 10))
    draw.rectangle((5, height - 9, 12, height - 3), fill=(90, 90, 90))
    draw.line((0, height - 1, width - 1, 0), fill=(0, 0, 200))
    return image


def pale(image):
    return image.point(lambda v: 60 + v // 3)


def shear_matrix(x, y):
    return (1, x, 0, y, 1, 0)


def enhance(kind):
    return lambda image, factor: kind(image).enhance(factor)


def posterize(image, bits):
    # Pillow 13 refuses 0 bits; before, as timm means it, nothing was left.
    return ImageOps.posterize(image, bits) if bits > 0 else image.point(lambda v: 0)


def transform(image, resampling, *matrix):
    return image.transform(image.size, Image.Transform.AFFINE, matrix, RESAMPLING[resampling], fillcolor=FILL)


def rotate(image, resampling, degrees):
    return image.rotate(degrees, RESAMPLING[resampling], fillcolor=FILL)


OPERATIONS = {
    "brightness": enhance(ImageEnhance.Brightness),
    "contrast": enhance(ImageEnhance.Contrast),
    "color": enhance(ImageEnhance.Color),
    "sharpness": enhance(ImageEnhance.Sharpness),
    "posterize": posterize,
    "solarize": lambda image, threshold: ImageOps.solarize(image, threshold),
    "solarize_add": lambda image, add: timm_aa.solarize_add(image, add),
    "invert": ImageOps.invert,
    "autocontrast": ImageOps.autocontrast,
    "equalize": ImageOps.equalize,
    "grayscale": lambda image: image.convert("L").convert("RGB"),
    "hue": tv.adjust_hue,
    "pillow_blur": lambda image, radius: image.filter(ImageFilter.GaussianBlur(radius)),
    "blur": lambda image, size, sigma: tv.gaussian_blur(image, [size, size], [sigma, sigma]),
    "blend": lambda image, alpha: Image.blend(image, ImageOps.invert(image), alpha),
    "flip_down": ImageOps.flip,
    "rotate": rotate,
    "transform": transform,
}


def point_cases():
    for name in ("brightness", "contrast", "color", "sharpness"):
        for factor in (0.0, 0.1, 0.55, 1.0, 1.37, 1.9):
            yield name, factor
    for bits in (0, 1, 3, 4, 8):
        yield "posterize", bits
    for threshold in (0, 77, 100.5, 128, 256):
        yield "solarize", threshold
    for add in (0, 33, 110):
        yield "solarize_add", add
    for name in ("invert", "autocontrast", "equalize", "grayscale", "flip_down"):
        yield (name,)
    for turn in (-0.5, -0.21, -0.1, 0.0, 0.03, 0.1, 0.25, 0.5):
        yield "hue", turn
    yield "blend", 0.37


def filter_cases():
    for radius in (0.1, 0.5, 1.0, 1.7, 2.0, 9.3, 60.0):
        yield "pillow_blur", radius
    for size, sigma in ((3, 0.1), (3, 0.9), (5, 2.0), (23, 1.3)):
        yield "blur", size, sigma


def geometry_cases():
    for resampling in RESAMPLING:
        for degrees in (7.3, -30.0, 135.0):
            yield "rotate", resampling, degrees
        for factor in (0.3, -0.135):
            yield "transform", resampling, *shear_matrix(factor, 0)
            yield "transform", resampling, *shear_matrix(0, factor)
        for pixels in (-7.0, 5.28):
            yield "transform", resampling, 1, 0, pixels, 0, 1, 0
            yield "transform", resampling, 1, 0, 0, 0, 1, pixels
        yield "transform", resampling, 0.9, 0.2, -3.1, -0.15, 1.2, 2.5
    for degrees in (0.0, 90.0, 180.0, -90.0):
        yield "rotate", "bicubic", degrees


def write_images():
    square = drawing(32, 32)
    images = {"square": square, "pale": pale(square), "wide": drawing(48, 40)}
    cases = {
        "square": [*point_cases(), *filter_cases(), *geometry_cases()],
        "pale": [("autocontrast",), ("equalize",), ("contrast", 1.7), ("hue", 0.15)],
        "wide": [("sharpness", 1.6), ("pillow_blur", 1.1), ("blur", 5, 1.2), ("equalize",), ("flip_down",),
                 *geometry_cases()],
    }
    lines = []
    for name, image in images.items():
        image.save(OUT / f"{name}.png", optimize=True)
        sheet = Image.new("RGB", (image.width, image.height * len(cases[name])))
        for i, (operation, *arguments) in enumerate(cases[name]):
            sheet.paste(OPERATIONS[operation](image, *arguments), (0, i * image.height))
            lines.append(" ".join([name, operation, *map(str, arguments)]))
        sheet.save(OUT / f"{name}_out.png", optimize=True)
    (OUT / "cases.txt").write_text("\n".join(lines) + "\n")


def write_levels():
    lines = []
    random.random = lambda: 0.25  # timm negates above a half
    hparams = {"translate_const": int(32 * 0.45), "translate_pct": 0.45}
    for name, level in timm_aa.LEVEL_TO_ARG.items():
        for magnitude in (0, 0.7, 3, 5, 9, 9.99, 10, 12.5):
            argument = level(magnitude, hparams)[0] if level else 0
            lines.append(f"timm {name} {magnitude} {argument!r}")
    spaces = {"autoaugment": tv_aa.AutoAugment()._augmentation_space(10, (32, 32)),
              "trivial": tv_aa.TrivialAugmentWide()._augmentation_space(31)}
    for family, space in spaces.items():
        for name, (magnitudes, _) in space.items():
            for i in range(magnitudes.numel() if magnitudes.ndim else 0):
                lines.append(f"{family} {name} {i} {magnitudes[i].item()!r}")
    (OUT / "levels.txt").write_text("\n".join(lines) + "\n")


def op_text(op):
    return f"{op.name}:{op.prob:g}:{op.magnitude:g}"


def magnitude_text(op):
    std = op.magnitude_std
    return f"std={'uniform' if math.isinf(std) else f'{std:g}'} max={op.magnitude_max or 10:g}"


def describe_timm(text):
    hparams = {"translate_const": 14, "img_mean": FILL}
    if text.startswith("rand"):
        policy = timm_aa.rand_augment_transform(text, dict(hparams))
        ops = [op_text(op) for op in policy.ops]
        if policy.choice_weights is not None:
            ops = [f"{op}:{weight:.6f}" for op, weight in zip(ops, policy.choice_weights)]
        return f"rand n={policy.num_layers} {magnitude_text(policy.ops[0])} " + " ".join(ops)
    if text.startswith("augmix"):
        policy = timm_aa.augment_and_mix_transform(text, dict(hparams, translate_pct=0.3))
        depth = max(policy.depth, 0)
        return (f"augmix w={policy.width} d={depth} a={policy.alpha:g} b={policy.blended:d} "
                f"{magnitude_text(policy.ops[0])} " + " ".join(map(op_text, policy.ops)))
    policy = timm_aa.auto_augment_transform(text, dict(hparams))
    return (f"choice {magnitude_text(policy.policy[0][0])} " +
            " ".join("+".join(map(op_text, ops)) for ops in policy.policy))


def describe_torchvision(text):
    if text == "trivial":
        names = tv_aa.TrivialAugmentWide()._augmentation_space(31)
        return "trivial max=30 " + " ".join(names)
    policies = tv_aa.AutoAugment(tv_aa.AutoAugmentPolicy(text)).policies
    steps = [[f"{name}:{p:g}:{'-' if m is None else m}" for name, p, m in policy] for policy in policies]
    return "choice std=0 max=9 " + " ".join("+".join(policy) for policy in steps)


def write_policies():
    timm_strings = [
        "rand-m9-mstd0.5-inc1", "rand-m9-mstd0.5", "rand", "rand-m15-n3-p0.7-mmax30-mstd101", "rand-inc1-n4",
        "rand-mstd1-tweights", "rand-m8-n2-t3a", "rand-n5-t3aw-p1", "original", "originalr", "v0", "v0r-mstd0.5", "3a",
        "augmix", "augmix-m5-w4-d2", "augmix-m3-a0.5-b1-mstd1.5",
    ]
    lines = [f"{text} {describe_timm(text)}" for text in timm_strings]
    lines += [f"{text} {describe_torchvision(text)}" for text in ("imagenet", "cifar10", "svhn", "trivial")]
    (OUT / "policies.txt").write_text("\n".join(lines) + "\n")


def main():
    OUT.mkdir(exist_ok=True)
    write_images()
    write_levels()
    write_policies()


if __name__ == "__main__":
    main()
