#!/usr/bin/env python3
"""Checks an exported model against what it should answer.

    python3 tests/interop/onnx_check.py DIR REFERENCE.safetensors     (needs numpy, onnx, onnxruntime and safetensors)

DIR/model.onnx has to pass onnx's checker and, in ONNX Runtime on the CPU, to turn REFERENCE's `images` [B, C, S, S] into
its `logits` [B, K]: the first picture alone and all at once, max|a-b| / max|b| at most 1e-4. Prints these figures; exits
with 1 where one is larger.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
import safetensors.numpy

TOLERANCE = 1e-4


def relative_error(actual, expected):
    if actual.shape != expected.shape:
        sys.exit(f"logits of shape {actual.shape}, expected {expected.shape}")
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    model = pathlib.Path(sys.argv[1]) / "model.onnx"
    reference = safetensors.numpy.load_file(sys.argv[2])
    onnx.checker.check_model(str(model), full_check=True)  # by path: a model larger than 2 GiB has no other way
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    failed = False
    for batch in sorted({1, len(reference["images"])}):
        (logits,) = session.run(["logits"], {"images": reference["images"][:batch]})
        error = relative_error(logits, reference["logits"][:batch])
        print(f"{model}: batch {batch}: {error:.2e}")
        failed |= not error <= TOLERANCE  # a NaN fails too
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
