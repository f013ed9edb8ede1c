"""`simulate` against how others label steps, on the same model and lines, in labelled steps per second.

    python benchmarks/labelling.py [--model FOLDER] [--problems 100] [--few 12] [--repeats 3]
                                   [--peer PYTHON | --install-peer]

The usual research loop takes one problem, one path and one prefix at a time: `model.generate` with
num_return_sequences=K, then judges the K texts. The peer is distilabel's Math-Shepherd completer on its transformers
backend. It needs an environment of its own: --peer gives that environment's Python, or --install-peer makes one in a
temporary folder. Both are slow, so they label only the first `--few` problems of the lines, the peer a quarter of
these; steps per second are compared. All sides give hard labels (one of K = 8 rollouts reaches the answer) at
temperature 1; the peer draws nothing for a path's last step, but is credited with it. Prints a markdown table.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from policy import make_policy, open_policy, sampled, simulated

from evals.records import Problem
from evals.tasks import task_of
from stages.engines.hf.engine import HFEngine
from stages.settings.simulate import SimulateSettings

K = 8
PEER = ("torch==2.13.0", "transformers<5", "distilabel==1.5.3")


Took = tuple[int, float, float]
"""Steps labelled, seconds, and CPU seconds, which do not depend on other work on the machine."""


def research_loop(engine: HFEngine, lines: Sequence[Problem]) -> Took:
    """The plain loop."""
    model, tokenizer = engine.model, engine.tokenizer
    torch.manual_seed(0)
    labelled, began, cpu = 0, time.perf_counter(), time.process_time()
    for line in lines:
        task = task_of(line)
        for path in line.paths:
            split = task.split(path.text)
            for step in range(len(path.steps)):
                prefix = split.prefix(path.text, step)
                ids = engine.prompter(line).encode(line, prefix, end=False).ids
                with torch.inference_mode():
                    written = model.generate(
                        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.int64),
                        do_sample=True, temperature=1.0, top_k=0, top_p=1.0, num_return_sequences=K,
                        max_new_tokens=task.max_tokens, pad_token_id=tokenizer.pad_token_id,
                        eos_token_id=tokenizer.eos_token_id,
                    )[:, len(ids) :]  # fmt: skip
                texts = tokenizer.batch_decode(written, skip_special_tokens=True)
                any(task.judge(line, prefix + text).correct for text in texts)
                labelled += 1
    return labelled, time.perf_counter() - began, time.process_time() - cpu


def ours(engine: HFEngine, lines: Sequence[Problem], **options: Any) -> Took:
    """`simulate`."""
    cpu = time.process_time()
    _, tally, seconds = simulated(engine, lines, SimulateSettings(k=K, gold=False, **options))
    return tally.counts["steps labelled"], seconds, time.process_time() - cpu


def install_peer(folder: Path) -> str:
    """The python of a fresh environment that has the peer."""
    venv.create(folder / "peer", with_pip=True)
    python = str(folder / "peer" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PEER], check=True)
    return python


def old_style(model: str, folder: Path) -> str:
    """A copy of the model whose tokenizer has a class that transformers 4 knows; the peer does not run with 5."""
    copy = folder / "old-style"
    shutil.copytree(model, copy, dirs_exist_ok=True)
    config = json.loads((copy / "tokenizer_config.json").read_text(encoding="utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    (copy / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return str(copy)


def peer(python: str, model: str, lines: Sequence[Problem], folder: Path) -> Took:
    """distilabel's completer; loading the model is not counted."""
    rows = [
        {
            "instruction": f"Question: {line.question}\nAnswer:\n",
            "golden_solution": [*(line.solution or []), f"The answer is {line.answer}"],
            "solutions": [[*path.steps, f"The answer is {path.answer}"] for path in line.paths],
        }
        for line in lines
    ]
    (folder / "lines.json").write_text(json.dumps(rows), encoding="utf-8")
    script = str(Path(__file__).with_name("peer_distilabel.py"))
    command = [python, script, old_style(model, folder), str(folder / "lines.json"), "--k", str(K)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the peer failed:\n{done.stderr[-3000:]}")
    result = json.loads(done.stdout.splitlines()[-1])
    return result["steps"], result["seconds"], result["cpu"]


def main() -> None:
    """Run all sides and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--few", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--install-peer", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = arguments.model or make_policy(folder)
        python = install_peer(folder) if arguments.install_peer else arguments.peer
        engine = open_policy(model)
        lines = sampled(engine, arguments.problems, 8)
        few = lines[: arguments.few]
        sides: dict[str, Any] = {
            "research loop (generate, one prefix at a time)": lambda: research_loop(engine, few),
            "sipf simulate --strategy brute": lambda: ours(engine, lines, strategy="brute"),
            "sipf simulate --strategy exact": lambda: ours(engine, lines, strategy="exact"),
            "sipf simulate --strategy first-error": lambda: ours(engine, lines, strategy="first-error"),
            "sipf simulate --strategy first-error --confidence 0.9": lambda: ours(
                engine, lines, strategy="first-error", confidence=0.9
            ),
        }
        if python:
            sides["distilabel 1.5.3, MathShepherdCompleter"] = lambda: peer(
                python, model, few[: max(1, len(few) // 4)], folder
            )
        rates: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
        for _ in range(arguments.repeats):
            for side, run in sides.items():
                steps, seconds, cpu = run()
                rates[side].append((steps / seconds, steps / cpu))
                print(f"{side}: {steps} steps, {seconds:.1f} s, CPU {cpu:.1f} s", file=sys.stderr, flush=True)
    middle = {side: [statistics.median(rate) for rate in zip(*values, strict=True)] for side, values in rates.items()}
    loop = middle["research loop (generate, one prefix at a time)"]
    print(f"{torch.get_num_threads()} thread(s), median of {arguments.repeats}\n")
    print("| | labelled steps per second | times the research loop | per CPU second | times the research loop |")
    print("|---|---|---|---|---|")
    for side, (rate, of_cpu) in middle.items():
        print(f"| {side} | {rate:.1f} | {rate / loop[0]:.1f} | {of_cpu:.1f} | {of_cpu / loop[1]:.1f} |")


if __name__ == "__main__":
    main()
