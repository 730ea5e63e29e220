#!/usr/bin/env python3
"""Exports of a running vitd, loaded by the programs that they are for.

Imports models of every kind into vitd, exports them for timm, transformers, torchvision and ONNX Runtime, and compares
their logits with the daemon's and with those of the models' makers (tests/data/parity). Labels and provenance are looked
at, and importing an export again has to give the same bytes.

Usage: interop_test.py SOURCE_DIR BIN_DIR VENV
VENV is made where it is missing, with the programs from PyPI; without PyPI the test is skipped.
"""

import hashlib
import json
import math
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
from reference_environment import enter_environment, import_torchvision  # noqa: E402

SKIPPED = 77  # SKIP_RETURN_CODE of CMakeLists.txt
PACKAGES = [
    "numpy==2.4.6", "onnx==1.23.2", "onnxruntime==1.31.1", "pillow==13.0.0", "safetensors==0.8.0",
    "tensorboard==2.21.0", "timm==1.0.31", "torchvision==0.28.0", "transformers==5.23.0",
]  # fmt: skip
TOLERANCE = 1e-4  # max|a-b| / max|b|


class Daemon:
    """vitd on a state directory and a data root of its own, and vitctl beside it."""

    def __init__(self, bin_dir, folder):
        self.bin, self.state, self.root = bin_dir, folder / "state", folder / "root"
        self.root.mkdir()
        self.process = subprocess.Popen(
            [bin_dir / "vitd", "--state-dir", self.state, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0",
             "--device", "cpu", "--data-root", self.root], stderr=open(folder / "vitd.log", "w"))  # fmt: skip
        deadline = time.monotonic() + 60
        while not (self.state / "vitd.ports").exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"vitd does not start:\n{(folder / 'vitd.log').read_text()}")
            time.sleep(0.05)
        port = json.loads((self.state / "vitd.ports").read_text())["grpc"]
        self.environment = dict(os.environ, VITCTL_SERVER=f"127.0.0.1:{port}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def vitctl(self, *arguments, ok=True):
        done = subprocess.run([self.bin / "vitctl", *arguments], env=self.environment, capture_output=True, text=True)
        if ok and done.returncode != 0:
            raise SystemExit(f"vitctl {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}")
        return done.stdout if ok else done.stderr

    def logits(self, model, picture, labels):
        """The daemon's, but for a constant: the logarithms of its probabilities, less their mean."""
        import numpy

        answer = json.loads(
            self.vitctl("classify", "--model", model, "--top-k", str(len(labels)), "-o", "json", picture)
        )
        result = answer["results"][0]
        by_label = {each["label"]: each["probability"] for each in result["classes"]}
        values = numpy.log(numpy.array([by_label[label] for label in labels]))
        return values - values.mean()

    def weights_digest(self, model):
        return hashlib.sha256((self.state / "models" / model / "1/model.safetensors").read_bytes()).hexdigest()


class Check:
    def __init__(self):
        self.failures = 0

    def near(self, what, actual, expected):
        import numpy

        error = float(numpy.abs(actual - expected).max() / numpy.abs(expected).max())
        good = error <= TOLERANCE  # a NaN is not
        self.failures += not good
        print(f"{'ok  ' if good else 'FAIL'} {what}: {error:.1e}", flush=True)

    def equal(self, what, actual, expected):
        good = actual == expected
        self.failures += not good
        print(f"ok   {what}" if good else f"FAIL {what}: {actual!r}, expected {expected!r}", flush=True)


# Each takes an exported directory and returns what turns normalised pictures [B, 3, S, S] into logits [B, K].


def load_timm(directory):
    import timm
    import torch

    model = timm.create_model(f"local-dir:{directory}", pretrained=True).eval()

    def run(images):
        with torch.inference_mode():
            return model(torch.from_numpy(images)).numpy()

    return run, model


def load_transformers(directory):
    import torch
    import transformers

    model = transformers.AutoConfig.from_pretrained(directory)
    model = getattr(transformers, model.architectures[0]).from_pretrained(directory).eval()

    def run(images):
        with torch.inference_mode():
            return model(torch.from_numpy(images)).logits.numpy()

    return run, model


def load_torchvision(directory):
    import torch

    torchvision, _ = import_torchvision()
    config = json.loads((directory / "config.json").read_text())
    model = torchvision.models.VisionTransformer(**config["torchvision"]).eval()
    model.load_state_dict(torch.load(directory / "model.pth", weights_only=True))

    def run(images):
        with torch.inference_mode():
            return model(torch.from_numpy(images)).numpy()

    return run, model


def load_onnx(directory):
    import onnx
    import onnxruntime

    path = str(directory / "model.onnx")
    onnx.checker.check_model(path, full_check=True)  # by path: above 2 GiB there is no other way
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits"], {"images": images})[0], session


def provenance(directory):
    """What config.json says of where the model comes from; model.onnx says the same."""
    about = json.loads((directory / "config.json").read_text())["exported_from"]
    if (directory / "model.onnx").exists():
        import onnx

        properties = onnx.load(directory / "model.onnx", load_external_data=False).metadata_props
        assert about.items() <= {entry.key: entry.value for entry in properties}.items(), properties
    return about


LOADERS = {"timm": load_timm, "hf": load_transformers, "torchvision": load_torchvision, "onnx": load_onnx}

# What each parity case is exported for. Where its makers' program is not asked for, it has not what the case shows.
PARITY = {
    "timm_cls": ["timm", "hf", "torchvision", "onnx"],
    "timm_avg_fc_norm": ["timm", "onnx"],
    "timm_layer_scale": ["timm", "onnx"],
    "timm_no_cls_avg": ["timm", "onnx"],
    "timm_pre_norm_no_bias": ["timm", "onnx"],
    "timm_qk_norm": ["timm", "onnx"],
    "timm_rect_patch16": ["timm", "hf", "torchvision", "onnx"],
    "timm_registers_no_embed_class": ["timm", "onnx"],
    "deit_distilled": ["timm", "hf", "onnx"],
    "google_npz": ["timm", "hf", "torchvision", "onnx"],
    "transformers": ["timm", "hf", "torchvision", "onnx"],
    "torchvision": ["timm", "hf", "torchvision", "onnx"],
    "shared_norm": ["onnx"],
    "batch_norm": ["onnx"],
}


def check_parity(check, daemon, source, name):
    """The case's own logits, from every program that can hold the model."""
    import safetensors.numpy

    case = source / "tests/data/parity" / name
    about = json.loads((case / "case.json").read_text())
    if name == "transformers":  # with config.json
        shutil.copytree(case, daemon.root / name)
        imported = daemon.root / name
    else:
        imported = daemon.root / f"{name}{pathlib.Path(about.get('file', 'model.safetensors')).suffix}"
        shutil.copy(case / about.get("file", "model.safetensors"), imported)
    heads = about.get("num_heads") or about.get("heads")
    daemon.vitctl("import", imported, "--name", name, *(["--set", f"model.num_heads={heads}"] if heads else []))
    expected = safetensors.numpy.load_file(case / "expected.safetensors")
    for format in LOADERS:
        out = daemon.root / f"{name}-{format}"
        if format not in PARITY[name]:
            message = daemon.vitctl("export", name, "--format", format, "-o", out, ok=False)
            check.equal(f"{name} {format}: refused", "has not" in message and not out.exists(), True)
            continue
        daemon.vitctl("export", name, "--format", format, "-o", out)
        run, _ = LOADERS[format](out)
        check.near(f"{name} {format}: the makers' logits", run(expected["input"]), expected["logits"])
        check.near(f"{name} {format}: one picture", run(expected["input"][:1]), expected["logits"][:1])
        if format == "onnx":
            continue
        daemon.vitctl("import", out, "--name", f"{name}-{format}")
        check.equal(
            f"{name} {format}: imported again",
            daemon.weights_digest(f"{name}-{format}"),
            daemon.weights_digest(name),
        )


def check_architecture(check, daemon, architecture):
    """A picture of no model's size, in the daemon and in every program after timm's own preprocessing."""
    import numpy
    import safetensors.torch
    import timm
    import torch
    import transformers
    from PIL import Image

    labels = ["tench", 'a "quoted" label', "naïve", "d", "e", "f", "g", "h", "i", "j"]
    torch.manual_seed(1)
    model = timm.create_model(architecture, num_classes=len(labels))
    torch.nn.init.normal_(model.head.weight, std=0.2)  # logits that differ
    weights = daemon.root / f"{architecture}.safetensors"
    safetensors.torch.save_file(model.state_dict(), weights)
    (daemon.root / "labels").write_text("\n".join(labels) + "\n")
    daemon.vitctl("import", weights, "--name", architecture, "--labels", daemon.root / "labels",
                  "--set", "data.mean=0.4,0.5,0.6", "--set", "data.std=0.2,0.25,0.3")  # fmt: skip
    # Of a shape that resizes to whole pixels: transformers rounds fractions otherwise than timm.
    rows, columns = numpy.mgrid[0:240, 0:300]
    waves = [128 + 100 * numpy.sin(rows / (9 + 5 * i) + columns / (23 - 4 * i)) for i in range(3)]
    picture = Image.fromarray(numpy.stack(waves, 2).astype(numpy.uint8))
    picture.save(daemon.root / "picture.png")
    expected = daemon.logits(architecture, daemon.root / "picture.png", labels)

    images = None
    for format, load in LOADERS.items():
        out = daemon.root / f"{architecture}-{format}"
        daemon.vitctl("export", architecture, "--format", format, "-o", out)
        run, loaded = load(out)
        if format == "timm":
            transform = timm.data.create_transform(**timm.data.resolve_model_data_config(loaded))
            images = transform(picture).unsqueeze(0).numpy()
            check.equal(f"{architecture} timm: labels", list(loaded.pretrained_cfg["label_names"]), labels)
        logits = run(images)[0]
        check.near(f"{architecture} {format}: the daemon's logits", logits - logits.mean(), expected)
        batch = run(numpy.concatenate([images, 0 * images, images]))
        check.near(f"{architecture} {format}: in a batch", batch[2], logits)
        if format == "hf":
            check.equal(f"{architecture} hf: labels", [loaded.config.id2label[i] for i in range(10)], labels)
            processor = transformers.AutoImageProcessor.from_pretrained(out)
            pixels = numpy.asarray(processor(picture, return_tensors="np")["pixel_values"])
            check.equal(
                f"{architecture} hf: its image processor sees the same picture",
                pixels.shape == images.shape and float(numpy.abs(pixels - images).mean()) < 0.02,
                True,
            )
        about = provenance(out)
        check.equal(f"{architecture} {format}: says where it comes from",
                    (about["model"], about["origin"]), (architecture, str(weights)))  # fmt: skip


def check_run(check, daemon):
    """An export of a run names it, its step and its metrics."""
    daemon.vitctl("start-run", "--data", "shapes:", "--preset", "shapes_demo", "--set", "max_steps=4", "--watch",
                  "--set", "data.shapes.train_size=64", "--set", "data.shapes.val_size=64",
                  "--set", "batch_size=16", "--set", "schedule.warmup_fraction=0")  # fmt: skip
    run = json.loads(daemon.vitctl("status", "-o", "json"))["run"]["id"]
    for format in ["timm", "onnx"]:
        out = daemon.root / f"run-{format}"
        daemon.vitctl("export", f"run:{run}", "--format", format, "-o", out)
        about = provenance(out)
        check.equal(f"run {format}: origin", about["origin"], f"run:{run}@4")
        measured = 0 <= float(about["accuracy"]) <= 1 and math.isfinite(float(about["loss"]))
        check.equal(f"run {format}: accuracy and loss", measured, True)
    check_events(check, daemon, run)


def check_events(check, daemon, run):
    """TensorBoard's reader finds a run's history in its event files."""
    import numpy
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(daemon.state / "runs" / run)).Reload()
    points = json.loads(daemon.vitctl("history", run, "-o", "json"))["points"]
    for split, names in {
        "train": ["loss", "accuracy", "learning_rate", "grad_norm", "images_per_second"],
        "validation": ["loss", "accuracy", "top_k_accuracy", "precision", "recall", "f1", "calibration_error"],
    }.items():
        own = [point for point in points if point["split"] == f"SPLIT_{split.upper()}"]
        for name in names:
            written = [(event.step, event.value) for event in events.Scalars(f"{split}/{name}")]
            shown = [
                (int(point["step"]), float(numpy.float32(point.get(name, point.get("evaluation", {}).get(name, 0)))))
                for point in own
            ]
            check.equal(f"events: {split}/{name}", (len(shown) > 0, written), (True, shown))


def main():
    source, bin_dir, venv = (pathlib.Path(argument).absolute() for argument in sys.argv[1:4])
    if not enter_environment(source, venv, PACKAGES):
        print("skipped: the programs to compare with could not be installed (pip's reason is above)")
        return SKIPPED
    os.environ.update(HF_HUB_OFFLINE="1", TQDM_DISABLE="1")
    import_torchvision()  # before timm and transformers, which import it
    check = Check()
    with tempfile.TemporaryDirectory() as folder, Daemon(bin_dir, pathlib.Path(folder)) as daemon:
        for name in PARITY:
            check_parity(check, daemon, source, name)
        for architecture in ["vit_tiny_patch16_224", "vit_base_patch16_224"]:
            check_architecture(check, daemon, architecture)
        check_run(check, daemon)
    print(f"{check.failures} failures")
    return 1 if check.failures else 0


if __name__ == "__main__":
    sys.exit(main())
