"""Creates Python environments with the programs that vitd is compared with, from PyPI. Used by tests and benchmarks."""

import os
import pathlib
import subprocess
import sys

TORCH = "torch==2.13.0"


def enter_environment(source, venv, packages, torch=True):
    """Restarts the running program in `venv`, which has `packages` and, unless `torch` is False, torch; that comes from
    the project's .venv (`source`/.venv) if it is there. Creates `venv` if it is missing or has other packages. Returns
    True if this process already runs in `venv`, and False if it cannot be created (pip prints why)."""
    venv = pathlib.Path(venv).absolute()
    if pathlib.Path(sys.prefix) == venv:
        return True
    if not _make(pathlib.Path(source), venv, packages, torch):
        return False
    os.execv(venv / "bin/python", [venv / "bin/python", *sys.argv])


def _make(source, venv, packages, torch):
    # Named even if it is there, so that no package that depends on torch replaces it by a newer one.
    packages = [TORCH, *packages] if torch else packages
    wanted = " ".join(packages)
    done = venv / "installed"
    if done.exists() and done.read_text() == wanted:
        return True
    print(f"installing {wanted} into {venv}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
    own = torch and sorted(source.glob(".venv/lib/python3*/site-packages/torch"))
    if own:
        (site,) = venv.glob("lib/python3*/site-packages")
        (site / "torch.pth").write_text(f"{own[0].parent}\n")
    pip = [venv / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    if subprocess.run([*pip, *packages]).returncode != 0:
        return False
    done.write_text(wanted)
    return True


def import_torchvision():
    """Imports torchvision. Its wheel on PyPI needs CUDA's torch; with another one its operators are missing, and its
    models and transforms need only their names. Returns torchvision and the library that defines these names, which
    exist as long as it does."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    while True:
        try:
            import torchvision

            return torchvision, library
        except RuntimeError as error:
            words = str(error).split()  # operator torchvision::nms does not exist
            if not (len(words) > 1 and words[1].startswith("torchvision::")):
                raise
            library.define(f"{words[1].removeprefix('torchvision::')}(Tensor a) -> Tensor")
            for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
                del sys.modules[name]
