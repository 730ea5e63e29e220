#!/usr/bin/env python3
"""Exports of a running vitd, loaded by the programs that they are for, and imports of what those programs write.

Imports models of every kind into vitd, exports them for timm, transformers, torchvision and ONNX Runtime, and compares
their logits with the daemon's and with those of the models' makers (tests/data/parity). Labels and provenance are looked
at, and importing an export again has to give the same bytes. Weights as people have them (other activations, DINOv2 and
DeiT from both makers, prefixes, averages) have to give the answers of the programs that made them; models that compute
something else have to be refused by name.

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
IMPORT_TOLERANCE = 1e-5


class Daemon:
    """vitd on a state directory and a data root of its own, and vitctl beside it."""

    def __init__(self, bin_dir, folder, *flags):
        self.bin, self.state, self.root = bin_dir, folder / "state", folder / "root"
        self.root.mkdir()
        self.process = subprocess.Popen(
            [bin_dir / "vitd", "--state-dir", self.state, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0",
             "--device", "cpu", "--data-root", self.root, *flags], stderr=open(folder / "vitd.log", "w"))  # fmt: skip
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

    def logits(self, model, image, labels):
        """The daemon's, but for a constant: the logarithms of its probabilities, less their mean."""
        import numpy

        answer = json.loads(
            self.vitctl("classify", "--model", model, "--top-k", str(len(labels)), "-o", "json", image)
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

    def near(self, what, actual, expected, tolerance=TOLERANCE):
        import numpy

        error = float(numpy.abs(actual - expected).max() / numpy.abs(expected).max())
        good = error <= tolerance  # a NaN is not
        self.failures += not good
        print(f"{'ok  ' if good else 'FAIL'} {what}: {error:.1e}", flush=True)

    def equal(self, what, actual, expected):
        good = actual == expected
        self.failures += not good
        print(f"ok   {what}" if good else f"FAIL {what}: {actual!r}, expected {expected!r}", flush=True)


# Each takes an exported directory and returns what turns normalised images [B, 3, S, S] into logits [B, K].


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
            check.equal(f"{name} {format}: refused", "does not have" in message and not out.exists(), True)
            continue
        daemon.vitctl("export", name, "--format", format, "-o", out)
        run, _ = LOADERS[format](out)
        check.near(f"{name} {format}: the makers' logits", run(expected["input"]), expected["logits"])
        check.near(f"{name} {format}: one image", run(expected["input"][:1]), expected["logits"][:1])
        if format == "onnx":
            continue
        daemon.vitctl("import", out, "--name", f"{name}-{format}")
        check.equal(
            f"{name} {format}: imported again",
            daemon.weights_digest(f"{name}-{format}"),
            daemon.weights_digest(name),
        )


def check_architecture(check, daemon, architecture):
    """An image of no model's size, in the daemon and in every program after timm's own preprocessing."""
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
    image = Image.fromarray(numpy.stack(waves, 2).astype(numpy.uint8))
    image.save(daemon.root / "image.png")
    expected = daemon.logits(architecture, daemon.root / "image.png", labels)

    images = None
    for format, load in LOADERS.items():
        out = daemon.root / f"{architecture}-{format}"
        daemon.vitctl("export", architecture, "--format", format, "-o", out)
        run, loaded = load(out)
        if format == "timm":
            transform = timm.data.create_transform(**timm.data.resolve_model_data_config(loaded))
            images = transform(image).unsqueeze(0).numpy()
            check.equal(f"{architecture} timm: labels", list(loaded.pretrained_cfg["label_names"]), labels)
        logits = run(images)[0]
        check.near(f"{architecture} {format}: the daemon's logits", logits - logits.mean(), expected)
        batch = run(numpy.concatenate([images, 0 * images, images]))
        check.near(f"{architecture} {format}: in a batch", batch[2], logits)
        if format == "hf":
            check.equal(f"{architecture} hf: labels", [loaded.config.id2label[i] for i in range(10)], labels)
            processor = transformers.AutoImageProcessor.from_pretrained(out)
            pixels = numpy.asarray(processor(image, return_tensors="np")["pixel_values"])
            check.equal(
                f"{architecture} hf: its image processor sees the same image",
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


SMALL = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2, num_classes=3)
SMALL_HF = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128, image_size=32,
                patch_size=8, num_labels=3)  # fmt: skip
LABELS = ["0", "1", "2"]


def randomised(model):
    """With weights that make every part of the formula matter."""
    import torch

    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                value.add_(torch.randn(value.shape, generator=generator) * 0.3)
    return model.eval()


class Imports:
    """Imports of small models of 32 x 32 images, and the answers that they have to give."""

    def __init__(self, check, daemon):
        import numpy
        import torch
        from PIL import Image

        self.check, self.daemon, self.count = check, daemon, 0
        pixels = numpy.random.default_rng(3).integers(0, 256, (32, 32, 3), dtype=numpy.uint8)
        self.image = daemon.root / "small.png"
        Image.fromarray(pixels).save(self.image)
        self.images = (torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255 - 0.5) / 0.5

    def path(self, name):
        self.count += 1
        return self.daemon.root / f"import-{self.count}-{name}"

    def import_(self, path, *flags, ok=True):
        """As a model whose images go in as they are, read with two heads."""
        name = path.name
        out = self.daemon.vitctl("import", path, "--name", name, "--set", "model.num_heads=2", "--set",
                                 "data.eval.crop_pct=1", "--set", "data.mean=0.5,0.5,0.5", "--set",
                                 "data.std=0.5,0.5,0.5", *flags, ok=ok)  # fmt: skip
        return name if ok else out

    def expected(self, model):
        import torch

        with torch.inference_mode():
            out = model(self.images)
        logits = (out if isinstance(out, torch.Tensor) else out.logits)[0].numpy()
        return logits - logits.mean()

    def answers(self, what, path, model, *flags, labels=None):
        name = self.import_(path, *flags)
        actual = self.daemon.logits(name, self.image, labels or LABELS)
        self.check.near(what, actual, self.expected(model), IMPORT_TOLERANCE)
        return name

    def refused(self, what, path, part, *flags):
        message = self.import_(path, *flags, ok=False)
        self.check.equal(f"{what}: refused by name", part if part in message else message, part)

    def timm_folder(self, name, model, config):
        import safetensors.torch

        path = self.path(name)
        path.mkdir()
        safetensors.torch.save_file(model.state_dict(), path / "model.safetensors")
        (path / "config.json").write_text(json.dumps(config))
        return path


def check_activations(check, daemon, imports):
    """Tanh and quick GELU, from timm and transformers and back to every program that has them."""
    import transformers
    from timm.models.vision_transformer import VisionTransformer

    for timms, hf in [("gelu_tanh", "gelu_pytorch_tanh"), ("quick_gelu", "quick_gelu")]:
        model = randomised(VisionTransformer(**SMALL, act_layer=timms))
        config = {"architecture": "vit_base_patch16_224", "model_args": SMALL | {"act_layer": timms}}
        name = imports.answers(f"{timms}: timm's answer", imports.timm_folder(timms, model, config), model)
        exact = randomised(VisionTransformer(**SMALL))
        check.equal(f"{timms} matters", abs(imports.expected(model) - imports.expected(exact)).max() > 1e-4, True)
        for format, load in LOADERS.items():
            out = daemon.root / f"{name}-{format}"
            if format == "torchvision":
                message = daemon.vitctl("export", name, "--format", format, "-o", out, ok=False)
                check.equal(f"{timms} torchvision: refused", "model.activation" in message, True)
                continue
            daemon.vitctl("export", name, "--format", format, "-o", out)
            logits = load(out)[0](imports.images.numpy())[0]
            check.near(f"{timms} {format}: exported", logits - logits.mean(), imports.expected(model), IMPORT_TOLERANCE)
            if format != "onnx":
                imports.answers(f"{timms} {format}: imported again", out, model, labels=LABELS)
        path = imports.path(hf)
        theirs = randomised(transformers.ViTForImageClassification(transformers.ViTConfig(**SMALL_HF, hidden_act=hf)))
        theirs.save_pretrained(path)
        imports.answers(f"{hf}: transformers' answer", path, theirs, labels=[f"LABEL_{i}" for i in range(3)])
    clip = imports.timm_folder(
        "clip", model, {"architecture": "vit_base_patch16_clip_quickgelu_224", "model_args": {"pre_norm": False}}
    )
    message = json.loads(daemon.vitctl("models", imports.import_(clip), "-o", "json"))["models"][0]["model"]
    check.equal("CLIP's name tells its activation", message["activation"], "ACTIVATION_QUICK_GELU")
    check.equal("CLIP's name tells its epsilon", message["layer_norm_eps"], 1e-5)


def check_encoders(check, daemon, imports):
    """Classifiers of DINOv2 and DeiT, by transformers and by Meta; encoders without a head."""
    import torch
    import transformers
    from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

    labels = [f"LABEL_{i}" for i in range(3)]
    kinds = {
        "DeiT": (transformers.DeiTForImageClassification, transformers.DeiTConfig),
        "Dinov2": (transformers.Dinov2ForImageClassification, transformers.Dinov2Config),
        "Dinov2WithRegisters": (
            transformers.Dinov2WithRegistersForImageClassification, transformers.Dinov2WithRegistersConfig,
        ),
    }  # fmt: skip
    for kind, (model_type, config_type) in kinds.items():
        model = randomised(model_type(config_type(**SMALL_HF)))
        path = imports.path(kind)
        model.save_pretrained(path)
        name = imports.answers(f"{kind}: transformers' answer", path, model, labels=labels)
        memory = imports.path(f"{kind}-memory")
        memory.mkdir()
        model.config.save_pretrained(memory)
        torch.save(model.state_dict(), memory / "pytorch_model.bin")
        imports.answers(f"{kind}: under its names in memory", memory, model, labels=labels)
        for format in ["hf", "onnx"]:
            out = daemon.root / f"{name}-{format}"
            daemon.vitctl("export", name, "--format", format, "-o", out)
            logits = LOADERS[format](out)[0](imports.images.numpy())[0]
            check.near(f"{kind} {format}: exported", logits - logits.mean(), imports.expected(model), IMPORT_TOLERANCE)
        if kind.startswith("Dinov2"):
            message = daemon.vitctl("export", name, "--format", "timm", "-o", daemon.root / "none", ok=False)
            check.equal(f"{kind} timm: refused", "model.global_pool=token_and_avg" in message, True)

    timms = VisionTransformer(**SMALL, reg_tokens=4, no_embed_class=True, init_values=1e-5)
    meta = {"register_tokens" if k == "reg_token" else k: v for k, v in randomised(timms).state_dict().items()}
    meta["pos_embed"] = torch.cat([torch.randn(1, 1, 32), meta["pos_embed"]], 1)
    meta["mask_token"] = torch.zeros(1, 32)
    path = imports.path("meta.pth")
    torch.save(meta, path)
    timms.load_state_dict(checkpoint_filter_fn(dict(meta), timms))
    imports.answers("DINOv2 with registers in Meta's file: timm's answer", path, timms)

    encoder = randomised(transformers.ViTModel(transformers.ViTConfig(**SMALL_HF)))
    path = imports.path("encoder")
    encoder.save_pretrained(path)
    name = imports.import_(path)
    out = daemon.root / "features.npy"
    daemon.vitctl("embed", imports.image, "--model", name, "-o", out)
    import numpy

    with torch.inference_mode():
        token = encoder(imports.images).last_hidden_state[:, 0].numpy()
    check.near("an encoder embeds", numpy.load(out), token, IMPORT_TOLERANCE)
    message = daemon.vitctl("classify", "--model", name, imports.image, ok=False)
    check.equal("an encoder does not classify", "without a head" in message, True)


def check_files(check, daemon, imports):
    """One model as scripts of all kinds save it."""
    import safetensors.torch
    import torch
    from timm.models.vision_transformer import VisionTransformer

    model = randomised(VisionTransformer(**SMALL))
    state = model.state_dict()
    other = {name: value + 1 for name, value in state.items()}

    def prefixed(prefix, values=state):
        return {prefix + name: value for name, value in values.items()}

    files = {
        "module.pth": prefixed("module."),
        "averaged-model.pth": torch.optim.swa_utils.AveragedModel(model).state_dict(),
        "lightning.ckpt": {
            "state_dict": prefixed("model.") | {"criterion.weight": torch.ones(3)}, "epoch": 3,
            "pytorch-lightning_version": torch.__version__,
        },
        "dino.pth": {"teacher": prefixed("backbone.")},
        "dino-part.pth": prefixed("backbone."),
        "averaged.pth": {"state_dict": other, "state_dict_ema": state, "torch": torch.__version__},
        "compiled.safetensors": prefixed("_orig_mod."),
        "nested.safetensors": prefixed("module._orig_mod.net.") | {"step": torch.ones(1)},
    }  # fmt: skip
    for name, value in files.items():
        path = imports.path(name)
        (safetensors.torch.save_file if name.endswith(".safetensors") else torch.save)(value, path)
        imports.answers(f"{name}: timm's answer", path, model)
    path = imports.path("raw.pth")
    torch.save({"state_dict": state, "state_dict_ema": other}, path)
    imports.answers("the raw weights, asked for", path, model, "--weights", "raw")
    path = imports.path("both.pth")
    torch.save({"student": prefixed("backbone.", other), "teacher": prefixed("backbone.")}, path)
    imports.refused("two models", path, "'student.backbone.', 'teacher.backbone.'")
    imports.answers("the one of two that is asked for", path, model, "--prefix", "teacher.")


def check_refusals(check, daemon, imports):
    """Models that compute something else, each made as the one that is imported beside them."""
    import torch
    import transformers
    from timm.layers import SwiGLU
    from timm.models.beit import Beit
    from timm.models.eva import Eva
    from timm.models.vision_transformer import ResPostBlock, VisionTransformer

    models = {
        "BEiT": (Beit(**SMALL, use_rel_pos_bias=True, init_values=0.1), "relative position bias"),
        "EVA": (Eva(**SMALL, use_rot_pos_emb=True), "separate biases of query and value"),
        "rotary positions": (Eva(**SMALL, use_rot_pos_emb=True, use_abs_pos_emb=False, qkv_bias=False), "rotary"),
        "attention pooling": (VisionTransformer(**SMALL, global_pool="map", class_token=False), "attention pooling"),
        "SwiGLU": (VisionTransformer(**SMALL, mlp_layer=SwiGLU), "SwiGLU"),
    }
    for what, (model, part) in models.items():
        path = imports.path(what.replace(" ", "-"))
        torch.save(randomised(model).state_dict(), path)
        imports.refused(what, path, part)
    path = imports.path("swiglu-hf")
    transformers.Dinov2ForImageClassification(
        transformers.Dinov2Config(**SMALL_HF, use_swiglu_ffn=True)
    ).save_pretrained(path)
    imports.refused("SwiGLU in transformers", path, "SwiGLU")
    plain = VisionTransformer(**SMALL)
    post = VisionTransformer(**SMALL, block_fn=ResPostBlock)
    for what, model, architecture in [
        ("post-norm", post, "vit_base_patch16_rpn_224"), ("the usual norms", plain, "vit_base_patch16_224"),
    ]:  # fmt: skip
        path = imports.timm_folder(architecture, randomised(model), {"architecture": architecture, "model_args": SMALL})
        if model is post:
            imports.refused(what, path, "post-norm")
        else:
            imports.answers(f"{what}: timm's answer", path, model)


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
        imports = Imports(check, daemon)
        for part in [check_activations, check_encoders, check_files, check_refusals]:
            part(check, daemon, imports)
        check_run(check, daemon)
    print(f"{check.failures} failures")
    return 1 if check.failures else 0


if __name__ == "__main__":
    sys.exit(main())
