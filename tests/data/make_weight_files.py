#!/usr/bin/env python3
"""Makes tests/data/weights/: small files in every format, dtype and layout that the readers of weights know.

    python3 tests/data/make_weight_files.py     (needs torch, numpy and safetensors; the files in the tree were made
                                                 with versions 2.13, 2.4 and 0.8)

readings.json tells what these libraries read from them, and from the models in tests/data/parity/:
    {file, below tests/data: {tensor: [dtype, shape, CRC-32 of its values in C order, little endian]}}
"""

import argparse
import collections
import io
import json
import pathlib
import zipfile
import zlib

import numpy as np
import safetensors.torch
import torch

DATA = pathlib.Path(__file__).parent
OUT = DATA / "weights"

TORCH_DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool,
]
BFLOAT16 = np.dtype("V2")  # how NumPy saves JAX's


def bfloat16(values):
    return torch.tensor(values).to(torch.bfloat16).view(torch.int16).numpy().view(BFLOAT16)


def numpy_arrays():
    arrays = {
        dtype: (np.arange(24).reshape(2, 3, 4) - (0 if dtype in ("u1", "b1") else 5)).astype(dtype)
        for dtype in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1")
    }
    arrays["bfloat16"] = bfloat16([1.5, -2.25, 0.0])
    arrays["scalar"] = np.array(2.5, np.float32)
    arrays["empty"] = np.zeros((0, 3), np.float32)
    arrays["fortran"] = np.asfortranarray(np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    arrays["layer/kernel"] = np.arange(6, dtype=np.float32).reshape(3, 2)
    return arrays


def write_npy_versions(path):
    """One array in each version of the header."""
    with zipfile.ZipFile(path, "w") as archive:
        for version in ((1, 0), (2, 0), (3, 0)):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.arange(5, dtype=np.float32), version=version)
            info = zipfile.ZipInfo(f"version_{version[0]}.npy", (1980, 1, 1, 0, 0, 0))
            archive.writestr(info, buffer.getvalue())


def state_dict():
    base = torch.arange(24, dtype=torch.float32)
    return collections.OrderedDict(
        [(str(dtype).removeprefix("torch."), (torch.arange(6) - 2).reshape(2, 3).to(dtype)) for dtype in TORCH_DTYPES]
        + [
            ("scalar", torch.tensor(2.5)),
            ("empty", torch.zeros(0, 3)),
            ("parameter", torch.nn.Parameter(torch.ones(2, 2))),
            # Views of one storage.
            ("whole", base), ("transposed", base.reshape(4, 6).t()), ("middle", base[5:11]), ("tied", base),
        ]
    )


def write_pytorch():
    tensors = state_dict()
    for protocol in (2, 3, 4, 5):
        torch.save(tensors, OUT / f"protocol_{protocol}.pt", pickle_protocol=protocol)
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    torch.save(module.state_dict(), OUT / "module.pth")  # with versions of its modules
    small = {"weight": torch.arange(4.0), "bias": torch.tensor([1.0])}
    prefixed = {"module._orig_mod." + name: tensor for name, tensor in small.items()}
    other = {"weight": torch.zeros(4)}
    # As training scripts save them: with all sorts of things beside the weights.
    checkpoint = {
        "epoch": 3, "step": torch.tensor(7), "loss": np.float64(0.25), "history": [np.float32(1), 2.0, None, 1 << 80],
        "args": argparse.Namespace(lr=0.1, name="run", betas=(0.9, 0.999)), "dtype": torch.float32,
        "size": torch.Size([1, 2]), "device": torch.device("cpu"), "array": np.arange(3), "seen": {1, 2},
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(4)}}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]},
        "model_ema": other,
    }
    torch.save(checkpoint | {"state_dict": prefixed}, OUT / "checkpoint.pth")
    torch.save(checkpoint | {"model": {"state_dict": small, "kind": "vit"}}, OUT / "nested.pth")
    torch.save({"epoch": 1, "state_dict_ema": small}, OUT / "averaged.pth")


def write_safetensors():
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in state_dict().items()}
    safetensors.torch.save_file(tensors, OUT / "dtypes.safetensors", {"format": "pt"})


def write_shards():
    tensors = {"a": torch.arange(3.0), "b": torch.ones(2, 2), "c": torch.zeros(1)}
    for save, stem, suffix in (
        (safetensors.torch.save_file, "model", ".safetensors"), (torch.save, "pytorch_model", ".bin")
    ):
        shards = {f"{stem}-00001-of-00002{suffix}": ["a", "b"], f"{stem}-00002-of-00002{suffix}": ["c"]}
        for name, inside in shards.items():
            save({key: tensors[key] for key in inside}, OUT / name)
        index = {
            "metadata": {"total_size": 32},
            "weight_map": {key: name for name, inside in shards.items() for key in inside},
        }
        (OUT / f"{stem}{suffix}.index.json").write_text(json.dumps(index, indent=2) + "\n")


def of_torch(tensor):
    tensor = tensor.detach().contiguous()
    data = tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
    return [str(tensor.dtype).removeprefix("torch."), list(tensor.shape), zlib.crc32(data)]


def of_numpy(array):
    name = "bfloat16" if array.dtype == BFLOAT16 else array.dtype.name
    return [name, list(array.shape), zlib.crc32(array.tobytes(order="C"))]


def named_tensors(values, prefix="", depth=0):
    """Those of dicts within dicts, two deep, under the keys of the dicts."""
    for name, value in values.items():
        if isinstance(value, torch.Tensor):
            yield prefix + name, value
        elif isinstance(value, dict) and isinstance(name, str) and depth < 2:
            yield from named_tensors({k: v for k, v in value.items() if isinstance(k, str)}, f"{prefix}{name}.", depth + 1)


def of_pytorch(path):
    return {name: of_torch(tensor) for name, tensor in named_tensors(torch.load(path, weights_only=False))}


def of_safetensors(*paths):
    return {name: of_torch(tensor) for path in paths for name, tensor in safetensors.torch.load_file(path).items()}


def of_npz(path):
    with np.load(path) as arrays:
        return {name: of_numpy(arrays[name]) for name in arrays.files}


def main():
    torch.manual_seed(0)
    OUT.mkdir(exist_ok=True)
    np.savez(OUT / "dtypes.npz", **numpy_arrays())
    np.savez_compressed(OUT / "dtypes_compressed.npz", **numpy_arrays())
    write_npy_versions(OUT / "versions.npz")
    write_pytorch()
    write_safetensors()
    write_shards()

    parity = DATA / "parity"
    readings = {
        path: of_npz(DATA / path)
        for path in (
            "weights/dtypes.npz", "weights/dtypes_compressed.npz", "weights/versions.npz",
            "parity/google_npz/model.npz", "parity/google_npz/model_compressed.npz",
        )
    }
    for protocol in (2, 3, 4, 5):
        readings[f"weights/protocol_{protocol}.pt"] = of_pytorch(OUT / f"protocol_{protocol}.pt")
    readings["weights/module.pth"] = of_pytorch(OUT / "module.pth")
    readings["weights/checkpoint.pth"] = of_pytorch(OUT / "checkpoint.pth")
    readings["weights/nested.pth"] = of_pytorch(OUT / "nested.pth")
    readings["weights/averaged.pth"] = of_pytorch(OUT / "averaged.pth")
    readings["parity/torchvision/model.pth"] = of_pytorch(parity / "torchvision/model.pth")
    readings["parity/torchvision/wrapped.pth"] = of_pytorch(parity / "torchvision/wrapped.pth")
    readings["weights/dtypes.safetensors"] = of_safetensors(OUT / "dtypes.safetensors")
    readings["parity/transformers/model.safetensors"] = of_safetensors(parity / "transformers/model.safetensors")
    shards = of_safetensors(*(OUT / f"model-0000{i}-of-00002.safetensors" for i in (1, 2)))
    readings["weights/model.safetensors.index.json"] = shards
    readings["weights/pytorch_model.bin.index.json"] = shards
    lines = [
        f"  {json.dumps(path)}: {{\n"
        + ",\n".join(f"    {json.dumps(name)}: {json.dumps(reading)}" for name, reading in sorted(tensors.items()))
        + "\n  }"
        for path, tensors in sorted(readings.items())
    ]
    (OUT / "readings.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
