"""Folders of a tiny model in which one file is nearly right: each is loaded as the hf engine loads it, or refused."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from evals.errors import SipfError
from stages.models.loading import load_policy
from stages.models.templates import Prompters
from tests.fuzz.mutations import mutated
from tests.fuzz.targets import Target
from tests.lines import labelled_problem
from tests.models import build_model

WEIGHTS = "model.safetensors"


@cache
def _whole() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="sipf-fuzz-model-"))
    build_model(folder, "llama", chat=True)
    (folder / "sipf.json").write_text(json.dumps({"kind": "policy", "template": "Q: {question}\nA: ", "chat_args": {}}))
    return folder


def forget() -> None:
    """Delete the model that the others are made of."""
    if _whole.cache_info().currsize:
        shutil.rmtree(_whole(), ignore_errors=True)
        _whole.cache_clear()


def _header(numbers: random.Random, whole: bytes) -> bytes:
    """Weights with a changed header: another length, or other names, types, shapes and offsets."""
    length = int.from_bytes(whole[:8], "little")
    header, data = whole[8 : 8 + length], whole[8 + length :]
    if numbers.random() < 0.2:
        odd = numbers.choice((0, 1, length + 1, len(whole), 1 << 40, (1 << 64) - 1))
        return odd.to_bytes(8, "little") + header + data
    header = mutated(numbers, json.loads(header))
    cut = numbers.choice((len(data), len(data), 0, len(data) // 2))
    return len(header).to_bytes(8, "little") + header + data[:cut]


@dataclass(frozen=True)
class ModelFolder(Target):
    """A folder, which is one input."""

    def feed(self, numbers: random.Random, folder: Path) -> int:
        """See `Target.feed`."""
        model = folder / "model"
        shutil.rmtree(model, ignore_errors=True)
        model.mkdir()
        for file in _whole().iterdir():
            os.link(file, model / file.name)
        changed = numbers.choice(sorted(file.name for file in model.iterdir() if file.suffix != ".jinja"))
        whole = (model / changed).read_bytes()
        (model / changed).unlink()
        if changed != WEIGHTS:
            (model / changed).write_bytes(mutated(numbers, json.loads(whole)))
        elif numbers.random() < 0.9:
            (model / changed).write_bytes(_header(numbers, whole))
        with suppress(SipfError):
            self.read(model)
        return 1


def load(folder: Path) -> None:
    """Load a policy and encode a question."""
    loaded = load_policy(str(folder), device="cpu")
    problem = labelled_problem(1)
    Prompters(loaded.tokenizer, "auto", loaded.template_recorded, {}).of(problem).encode(problem, "1+1=2", end=True)


MODELS = ModelFolder("models", list, load)
