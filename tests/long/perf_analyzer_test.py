#!/usr/bin/env python3
"""Triton's perf_analyzer against a running vitd: 1 to 16 clients, 1 and 8 images in a request, no error.

Usage: perf_analyzer_test.py SOURCE_DIR BIN_DIR VENV
VENV is made where it is missing. perf_analyzer comes with tritonclient 2.51.0 from PyPI (later wheels need a newer glibc) and
needs Debian's libb64-0d; without one of them the test is skipped.
"""

import pathlib
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


def analyze(program, libraries, address, batch, work):
    report = work / f"batch{batch}.csv"
    done = subprocess.run(
        [program, "-m", MODEL, "-u", address, "-i", "grpc", "--service-kind", "triton", "--concurrency-range", "1:16",
         "-b", str(batch), "--input-data", "random", "--shape", f"INPUT:3,{SIDE},{SIDE}", "--measurement-interval", "1000",
         "--stability-percentage", "50", "-f", report],
        capture_output=True, text=True, env={"LD_LIBRARY_PATH": ":".join(map(str, libraries))})  # fmt: skip
    return done, report


def main():
    source, bin_dir, venv = (pathlib.Path(argument).absolute() for argument in sys.argv[1:4])
    if not enter_environment(source, venv, PACKAGES, torch=False):
        print("skipped: perf_analyzer could not be installed (pip's reason is above)")
        return SKIPPED
    site = next(pathlib.Path(sys.prefix).glob("lib/python3*/site-packages"))
    program = pathlib.Path(sys.prefix) / "bin/perf_analyzer"
    libraries = [site / "nvidia/cuda_runtime/lib"]
    check = Check()
    with tempfile.TemporaryDirectory() as name, Daemon(bin_dir, pathlib.Path(name)) as daemon:
        train(daemon)
        for batch in (1, 8):
            done, report = analyze(program, libraries, daemon.environment["VITCTL_SERVER"], batch, pathlib.Path(name))
            if "error while loading shared libraries" in done.stderr:
                print(f"skipped: {done.stderr.strip()}")
                return SKIPPED
            print(done.stdout[-4000:])
            check.equal(f"perf_analyzer -b {batch}, exit code", done.returncode, 0)
            check.equal(f"perf_analyzer -b {batch}, errors", [line for line in done.stderr.splitlines() if "rror" in line], [])
            rows = report.read_text().splitlines()[1:] if report.exists() else []
            check.equal(f"perf_analyzer -b {batch}, rows of the report", len(rows), 16)
    print(f"{check.failures} failures")
    return 1 if check.failures else 0


if __name__ == "__main__":
    sys.exit(main())
