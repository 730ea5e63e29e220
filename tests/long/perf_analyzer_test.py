#!/usr/bin/env python3
"""Triton's perf_analyzer against a running vitd: 1 to 16 clients, 1 and 8 images in a request, no error.

Usage: perf_analyzer_test.py SOURCE_DIR BIN_DIR VENV
VENV is made where it is missing. perf_analyzer comes with tritonclient 2.51.0 from PyPI (later wheels need a newer glibc) and
needs Debian's libb64-0d; without one of them the test is skipped.
"""

import base64
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "interop"), str(TESTS.parent / "scripts")]
from interop_test import SKIPPED, Check, Daemon  # noqa: E402
from open_inference_test import MODEL, SIDE, train  # noqa: E402
from reference_environment import enter_environment  # noqa: E402

PACKAGES = ["tritonclient[grpc]==2.51.0", "nvidia-cuda-runtime-cu12==12.9.79"]


def analyze(program, address, batch, data, report):
    """Returns what the program printed: 16 measurements, with requests of `data`."""
    cuda = next(pathlib.Path(sys.prefix).glob("lib/python3*/site-packages/nvidia/cuda_runtime/lib"))
    return subprocess.run(
        [program, "-m", MODEL, "-u", address, "-i", "grpc", "--service-kind", "triton", "--concurrency-range", "1:16",
         "-b", str(batch), "--input-data", data, "--measurement-interval", "1000", "--stability-percentage", "50", "-f", report],
        capture_output=True, text=True, env={"LD_LIBRARY_PATH": str(cuda)})  # fmt: skip


def write_data(folder):
    """Returns files of requests: encoded images, and tensors."""
    files = folder / "files.json", folder / "tensors.json"
    images = [base64.b64encode(element(bitmap(3 * i))).decode() for i in range(4)]
    files[0].write_text(json.dumps({"data": [{"IMAGE": {"content": {"b64": image}, "shape": [1]}} for image in images]}))
    pixels = [(i % 256) / 256 for i in range(3 * SIDE * SIDE)]
    files[1].write_text(json.dumps({"data": [{"INPUT": {"content": pixels, "shape": [3, SIDE, SIDE]}}]}))
    return files


def element(content):
    """An element of a BYTES tensor as it is sent."""
    return struct.pack("<I", len(content)) + content


def bitmap(value):
    """A BMP of one colour."""
    pixels = bytes([value, 128, 255 - value]) * SIDE * SIDE
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54 + len(pixels), 0, 0, 54, 40, SIDE, SIDE, 1, 24, 0, 0, 0, 0, 0, 0) + pixels


def main():
    source, bin_dir, venv = (pathlib.Path(argument).absolute() for argument in sys.argv[1:4])
    if not enter_environment(source, venv, PACKAGES, torch=False):
        print("skipped: perf_analyzer could not be installed (pip's reason is above)")
        return SKIPPED
    program = pathlib.Path(sys.prefix) / "bin/perf_analyzer"
    check = Check()
    with tempfile.TemporaryDirectory() as name, Daemon(bin_dir, pathlib.Path(name)) as daemon:
        train(daemon)
        for data in write_data(pathlib.Path(name)):
            for batch in (1, 8):
                report = data.with_suffix(f".{batch}.csv")
                done = analyze(program, daemon.environment["VITCTL_SERVER"], batch, data, report)
                if "error while loading shared libraries" in done.stderr:
                    print(f"skipped: {done.stderr.strip()}")
                    return SKIPPED
                rows = report.read_text().splitlines()[1:] if report.exists() else []
                print(*(row.split(",")[:2] for row in rows), sep="\n")
                what = f"{data.stem}, {batch} in a request"
                check.equal(f"{what}: exit code", done.returncode, 0)
                check.equal(f"{what}: errors", done.stderr.strip(), "")
                check.equal(f"{what}: measured numbers of clients", len(rows), 16)
    print(f"{check.failures} failures")
    return 1 if check.failures else 0


if __name__ == "__main__":
    sys.exit(main())
