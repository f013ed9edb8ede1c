"""`sipf recipes`: the loop as shell scripts, for people who installed with pip and have no checkout.

The files are those of `examples/`, which the wheel includes; `sipf_cli/examples` is a link to that folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from shutil import copy
from typing import Annotated

import typer

from evals.errors import UsageError
from sipf_cli.app import COMMANDS
from sipf_cli.console import Table, emit
from sipf_cli.generated import new_app
from sipf_cli.options import ConsoleOptions, Overwrite

app = new_app(help=COMMANDS["recipes"])

FOLDER = Path(__file__).with_name("examples")


@dataclass(frozen=True)
class Recipe:
    """Files that belong together, by their place in `examples/`; the first is the script to run."""

    sentence: str
    files: tuple[str, ...]


class RecipeName(StrEnum):
    loop = "loop"
    gsm8k = "gsm8k"
    demo = "demo"
    arms = "arms"
    reproduce = "reproduce"
    accelerate = "accelerate"
    slurm = "slurm"
    ray = "ray"


_LAUNCH = ("accelerate/train.sh", "accelerate/ddp.yaml", "accelerate/fsdp2.yaml", "accelerate/zero3.yaml")

RECIPES = {
    RecipeName.loop: Recipe("The whole loop on a model and task of your choice.", ("loop.sh",)),
    RecipeName.gsm8k: Recipe("The loop with the published settings for GSM8K, on one GPU.", ("loop.sh", "gsm8k.toml")),
    RecipeName.demo: Recipe(
        "Two rounds on the embedded world, on a laptop.", ("demo.sh", "arms.sh", "demo.toml", "loop.sh")
    ),
    RecipeName.arms: Recipe(
        "The method beside RFT, STaR, DPO and its ablations, on a model and task of your choice.",
        ("arms.sh", "loop.sh", "demo.toml"),
    ),
    RecipeName.reproduce: Recipe(
        "What the paper claims, tested: the arms for several seeds, and a page with every claim.",
        ("reproduce.sh", "arms.sh", "loop.sh", "claims.py", "arm_results.py", "arm_runs.py", "demo.toml"),
    ),
    RecipeName.accelerate: Recipe("A training command on many GPUs: DDP, FSDP2 or ZeRO-3.", _LAUNCH),
    RecipeName.slurm: Recipe(
        "A round as dependent Slurm jobs, queued again at their time limits.",
        ("slurm/round.sh", "slurm/job.sh", *_LAUNCH),
    ),
    RecipeName.ray: Recipe("A Ray cluster, and a job on it.", ("ray/submit.sh", "ray/cluster.yaml")),
}


@app.command()
def ls(console: ConsoleOptions) -> None:
    """List the recipes and the files of each.

    \b
    Example:
      sipf recipes ls
    """
    rows = [(name.value, recipe.sentence, recipe.files) for name, recipe in RECIPES.items()]
    summary = {name: {"what": what, "files": list(files)} for name, what, files in rows}
    emit(summary, Table(("recipe", "what it is", "files"), rows), json=console.json)


@app.command()
def cp(
    console: ConsoleOptions,
    name: Annotated[RecipeName, typer.Argument(metavar="NAME", help="Which recipe; see sipf recipes ls.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", file_okay=False, help="Folder to copy to.")] = Path(),
    overwrite: Overwrite = False,
) -> None:
    """Copy a recipe's files into a folder, where they can be run and edited.

    \b
    Example:
      sipf recipes cp demo mine
    """
    files = RECIPES[name].files
    changed = [file for file in files if not overwrite and _differs(folder / file, FOLDER / file)]
    if changed:
        raise UsageError(f"{folder / changed[0]} exists and differs", "Choose another folder, or add --overwrite.")
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file).parent.mkdir(exist_ok=True)
        copy(FOLDER / file, folder / file)
    emit({"copied": [str(folder / file) for file in files], "run": f"bash {folder / files[0]}"}, json=console.json)


def _differs(there: Path, ours: Path) -> bool:
    return there.exists() and there.read_bytes() != ours.read_bytes()
