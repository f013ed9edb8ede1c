"""Training runs: through every stage, resumed, stopped, diverged, refused."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from evals.errors import Interrupted, ModelError, UsageError
from stages.dpo import run_dpo
from stages.files.interrupts import StopFlag
from stages.files.manifest import toolkit_version
from stages.models.loading import load_policy
from stages.orpo import run_orpo
from stages.scorers.hf import Scorer
from stages.settings.training import TrainSettings
from stages.sft import run_sft
from stages.train_prm import run_train_prm
from stages.training.model_folder import COMPLETE, ModelFolder
from stages.training.weights import POLICY, REWARD, base_dtype, load_trainable
from tests.lines import labelled_problem, pair
from tests.models import Family, build_model

PROBLEMS = [labelled_problem(i) for i in range(20)]
PAIRS = [pair(i) for i in range(20)]
OPTIONS = TrainSettings(epochs=2, batch=4, lr=1e-3, save_steps=3, logging_steps=2, device="cpu")
Run = Callable[..., dict[str, Any]]


def sft(**more: Any) -> dict[str, Any]:
    return run_sft(PROBLEMS, **more)


def prm(**more: Any) -> dict[str, Any]:
    return run_train_prm(PROBLEMS, **more)


def orpo(**more: Any) -> dict[str, Any]:
    return run_orpo(PAIRS, **more)


def dpo(**more: Any) -> dict[str, Any]:
    return run_dpo(PAIRS, **more)


RUNS = pytest.mark.parametrize("run", [sft, prm, orpo], ids=["sft", "train-prm", "orpo"])


def stop_after(step: int) -> dict[str, Any]:
    """Options for a run that is asked to stop once a step is logged; it stops at the next one."""
    flag = StopFlag()

    def log(line: dict[str, Any]) -> None:
        if line["step"] >= step:
            flag.request(signal.SIGTERM)

    return {"stop": flag, "log": log}


def _killed(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def base(tmp_path: Path) -> str:
    return build_model(tmp_path / "base", "llama", tied=True)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(next(folder.glob("*model.safetensors")))


def same(a: Path, b: Path) -> bool:
    one, two = weights(a), weights(b)
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize(
    ("family", "manner", "lora"),
    [
        ("llama", {"bos": False, "chat": True}, False),
        ("qwen2", {"bos": False, "tied": True}, False),
        ("qwen2", {"bos": False, "chat": True}, True),
        ("gemma2", {"tied": True}, False),
        ("gemma2", {"chat": True, "tied": True}, True),
    ],
)
def test_every_family_walks_through_every_trainer(
    tmp_path: Path, family: Family, manner: dict[str, bool], lora: bool
) -> None:
    start = build_model(tmp_path / "base", family, **manner)
    options = dataclasses.replace(OPTIONS, epochs=1, lora=lora)
    m0, m1, reward = (str(tmp_path / name) for name in ("m0", "m1", "prm"))
    assert run_sft(PROBLEMS, model=start, out=m0, options=options)["counts"] == {"rows": 20}
    run_train_prm(PROBLEMS, model=start, out=reward, options=options)
    manifest = run_orpo(PAIRS, model=m0, out=m1, options=options)
    assert {"chosen_logps", "rejected_logps", "log_odds_ratio", "accuracy"} <= manifest["result"].keys()
    assert load_policy(m1).template_recorded == load_policy(m0).template_recorded
    scores = Scorer(reward).score_paths([(PROBLEMS[0], path) for path in PROBLEMS[0].paths])
    assert [len(steps or []) for steps in scores] == [1, 2]
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob("*.lock"))


@RUNS
def test_bfloat16_on_a_cpu_trains_float32_weights_nearly_as_float32_does(tmp_path: Path, base: str, run: Run) -> None:
    for dtype in ("float32", "bfloat16"):
        manifest = run(model=base, out=str(tmp_path / dtype), options=dataclasses.replace(OPTIONS, dtype=dtype))
        assert (manifest["device"], manifest["computed in"]) == ("cpu", dtype)
    exact, rounded = weights(tmp_path / "float32"), weights(tmp_path / "bfloat16")
    assert {w.dtype for w in rounded.values()} == {torch.float32}
    assert any(not torch.equal(exact[name], rounded[name]) for name in exact), "it was not computed in bfloat16"
    moved = max(float((exact[name] - rounded[name]).abs().max()) for name in exact)
    assert moved < 5 * OPTIONS.lr, "a few steps apart at the most"


@RUNS
def test_on_a_cpu_a_large_batch_is_computed_in_parts_of_similar_length(
    tmp_path: Path, base: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, ...]] = []
    see = torch.nn.Embedding.forward

    def forward(self: Any, ids: torch.Tensor) -> torch.Tensor:
        if ids.shape[-1] > 20 and torch.is_grad_enabled():
            shapes.append(tuple(ids.shape))
        return see(self, ids)

    monkeypatch.setattr(torch.nn.Embedding, "forward", forward)
    options = dataclasses.replace(OPTIONS, batch=8, epochs=1, warmup=0, dtype="float32")
    whole = run(model=base, out=str(tmp_path / "whole"), options=options)
    assert max(rows for rows, _ in shapes) >= 8
    shapes.clear()
    monkeypatch.setattr("stages.training.trainer.busy_tokens", lambda _: 60)
    parts = run(model=base, out=str(tmp_path / "parts"), options=options)
    assert max(rows for rows, _ in shapes) < 8, shapes
    assert parts["result"]["steps"] == whole["result"]["steps"]
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    for name, values in one.items():
        assert torch.allclose(values, two[name], atol=1e-5), name


@pytest.mark.parametrize("run", [sft, prm, orpo, dpo], ids=["sft", "train-prm", "orpo", "dpo"])
@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path, base: str, run: Run, lora: bool) -> None:
    options = dataclasses.replace(OPTIONS, lora=lora, lora_dropout=0.1, group_by_length=not lora)
    run(model=base, out=str(tmp_path / "whole"), options=options)
    for step in (2, 6):  # in the first epoch, and in the second
        with pytest.raises(Interrupted):
            run(model=base, out=str(tmp_path / "torn"), options=options, **stop_after(step))
        assert not (tmp_path / "torn").exists()
    half = tmp_path / "torn.part" / "checkpoints" / "checkpoint-1000"
    half.mkdir()  # a checkpoint that a kill left without its end
    (half / "trainer_state.json").write_text("{")
    run(model=base, out=str(tmp_path / "torn"), options=options)
    assert same(tmp_path / "whole", tmp_path / "torn")
    lines = [json.loads(line) for line in (tmp_path / "torn" / "history.jsonl").read_text().splitlines()]
    for name in ("loss", "held_out_loss"):
        steps = [line["step"] for line in lines if name in line]
        assert steps == sorted(set(steps))


@RUNS
def test_a_run_that_was_killed_between_training_and_the_end_is_completed(
    tmp_path: Path, base: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(model=base, out=str(tmp_path / "whole"), options=OPTIONS)
    for method in ("finish", "_publish"):
        with monkeypatch.context() as patch:
            patch.setattr(ModelFolder, method, _killed)
            with pytest.raises(KeyboardInterrupt):
                run(model=base, out=str(tmp_path / "torn"), options=OPTIONS)
        assert not (tmp_path / "torn").exists()
    lines: list[dict[str, Any]] = []
    manifest = run(model=base, out=str(tmp_path / "torn"), options=OPTIONS, log=lines.append)
    assert same(tmp_path / "whole", tmp_path / "torn")
    assert manifest["result"]["steps"] > 0
    assert not lines, "nothing was left to train"


@RUNS
def test_a_run_that_is_complete_is_not_done_again(tmp_path: Path, base: str, run: Run) -> None:
    out, lines = str(tmp_path / "m"), []
    first = run(model=base, out=out, options=OPTIONS)
    again = run(model=base, out=out, options=OPTIONS, log=lines.append)
    assert again == first | {"already complete": True}
    assert not lines
    assert first["sipf"] == toolkit_version()
    assert abs(datetime.now(UTC) - datetime.fromisoformat(first["finished"])) < timedelta(minutes=5)


def test_other_options_are_refused_by_name_until_overwritten(tmp_path: Path, base: str) -> None:
    out, other = str(tmp_path / "m"), dataclasses.replace(OPTIONS, lr=2e-3)
    with pytest.raises(Interrupted):
        sft(model=base, out=out, options=OPTIONS, **stop_after(2))
    with pytest.raises(UsageError, match=r"unfinished run with other settings: lr was 0.001 and is now 0.002"):
        sft(model=base, out=out, options=other)
    sft(model=base, out=out, options=OPTIONS)
    with pytest.raises(UsageError, match=r"made otherwise: lr was 0.001 and is now 0.002"):
        sft(model=base, out=out, options=other)
    with pytest.raises(UsageError, match="made otherwise: the input's content has changed"):
        run_sft(PROBLEMS[1:], model=base, out=out, options=OPTIONS)
    assert sft(model=base, out=out, options=other, overwrite=True)["options"]["lr"] == 2e-3


def test_a_folder_of_somebody_else_is_never_touched(tmp_path: Path, base: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    with pytest.raises(UsageError, match="no model made by sipf"):
        sft(model=base, out=str(tmp_path / "mine"), options=OPTIONS, overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "precious"


def test_two_runs_cannot_write_one_model(tmp_path: Path, base: str) -> None:
    with (
        ModelFolder(str(tmp_path / "m"), {"stage": "sft"}),
        pytest.raises(UsageError, match=f"written by another run .process {os.getpid()}"),
    ):
        sft(model=base, out=str(tmp_path / "m"), options=OPTIONS)


@RUNS
def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_good_weights(tmp_path: Path, base: str, run: Run) -> None:
    wild = dataclasses.replace(OPTIONS, lr=1e30, warmup=0, save_steps=1, logging_steps=100)
    with pytest.raises(ModelError, match="not finite at step 2") as caught:
        run(model=base, out=str(tmp_path / "m"), options=wild)
    assert caught.value.exit_code == 4
    assert not (tmp_path / "m").exists()
    assert (tmp_path / "m.part" / "checkpoints" / "checkpoint-1" / COMPLETE).is_file()
    kept = tmp_path / "m.part" / "last-good"
    assert str(kept) in caught.value.advice
    assert all(bool(torch.isfinite(value).all()) for value in weights(kept).values())


def test_an_adapter_merged_is_the_model_it_was(tmp_path: Path, base: str) -> None:
    lora = dataclasses.replace(OPTIONS, lora=True, lr=1e-2)
    sft(model=base, out=str(tmp_path / "adapter"), options=lora)
    sft(model=base, out=str(tmp_path / "merged"), options=dataclasses.replace(lora, merge=True))
    ids = torch.arange(3, 40)[None]
    start, adapter, merged = (
        load_policy(str(name)).model for name in (base, tmp_path / "adapter", tmp_path / "merged")
    )
    with torch.no_grad():
        before, one, two = (model(ids).logits for model in (start, adapter, merged))
    assert torch.allclose(one, two, atol=1e-6)
    assert not torch.allclose(before, one, atol=1e-2), "the adapter must have learned something"
    assert (tmp_path / "adapter" / "adapter_config.json").is_file()
    assert not (tmp_path / "merged" / "adapter_config.json").exists()


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora and merge"])
def test_a_reward_model_begins_from_a_policys_adapter_merged_into_its_base(
    tmp_path: Path, base: str, lora: bool
) -> None:
    adapter = str(tmp_path / "m0")
    sft(model=base, out=adapter, options=dataclasses.replace(OPTIONS, lora=True, lr=1e-2))
    options = dataclasses.replace(OPTIONS, lora=lora, merge=lora)
    policy = load_policy(adapter).model.state_dict()
    start = load_trainable(adapter, REWARD, options)
    begun = {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): value
        for name, value in start.state_dict().items()
    }
    backbone = [name for name in policy if not name.startswith("lm_head")]
    assert backbone
    assert all(torch.allclose(begun[name], policy[name], atol=1e-6) for name in backbone)
    prm(model=adapter, out=str(tmp_path / "prm"), options=options)
    assert not (tmp_path / "prm" / "adapter_config.json").exists()
    assert Scorer(str(tmp_path / "prm")).score_paths([(PROBLEMS[0], PROBLEMS[0].paths[0])])


def test_a_reward_adapter_keeps_its_head_and_scores_as_its_merged_model(tmp_path: Path, base: str) -> None:
    lora = dataclasses.replace(OPTIONS, lora=True, lr=1e-2)
    prm(model=base, out=str(tmp_path / "adapter"), options=lora)
    prm(model=base, out=str(tmp_path / "merged"), options=dataclasses.replace(lora, merge=True))
    paths = [(problem, path) for problem in PROBLEMS[:3] for path in problem.paths]
    one, two = (Scorer(str(tmp_path / name)).score_paths(paths) for name in ("adapter", "merged"))
    for a, b in zip(one, two, strict=True):
        assert a == pytest.approx(b, abs=1e-6)


def test_an_adapter_is_trained_on_as_an_adapter_of_the_same_base(tmp_path: Path, base: str) -> None:
    lora = dataclasses.replace(OPTIONS, lora=True)
    sft(model=base, out=str(tmp_path / "m0"), options=lora)
    orpo(model=str(tmp_path / "m0"), out=str(tmp_path / "m1"), options=lora)
    config = json.loads((tmp_path / "m1" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == base
    assert not same(tmp_path / "m0", tmp_path / "m1")
    with pytest.raises(UsageError, match="is an adapter with r 16"):
        orpo(model=str(tmp_path / "m0"), out=str(tmp_path / "m2"), options=dataclasses.replace(lora, lora_r=8))


def test_packing_trains_on_the_same_tokens_in_fewer_rows(tmp_path: Path, base: str) -> None:
    options = dataclasses.replace(OPTIONS, packing=True, max_length=256, batch=1, epochs=1)
    manifest = sft(model=base, out=str(tmp_path / "m"), options=options)
    assert manifest["counts"]["rows"] == 20
    assert manifest["result"]["steps"] < 20


def test_rows_that_cannot_be_trained_on_are_counted_by_reason(tmp_path: Path, base: str) -> None:
    long = PROBLEMS[0].model_copy(update={"question": "word " * 300})
    bare = PROBLEMS[1].model_copy(update={"solution": None})
    options = dataclasses.replace(OPTIONS, max_length=200, epochs=1)
    manifest = run_sft([long, bare, *PROBLEMS[2:]], model=base, out=str(tmp_path / "m"), options=options)
    assert manifest["counts"] == {"rows": 18, "too long": 1, "no solution": 1}


@pytest.mark.parametrize(
    "wrong", [{"lr": 0}, {"batch": 0}, {"load_in_4bit": True}, {"merge": True}, {"device": "cuda:1"}]
)
def test_options_that_make_no_sense_are_usage_errors(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        TrainSettings(**wrong)


def rounded_base(folder: Path, base: str) -> str:
    """The base in bfloat16, as most published models are."""
    loaded = load_policy(base, dtype="bfloat16")
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    return str(folder)


def formats(state: dict[str, torch.Tensor]) -> dict[str, torch.dtype]:
    """Of what is learnt ("lora", "head") and of the rest; each must have one."""
    found: dict[str, set[torch.dtype]] = {}
    for name, value in state.items():
        part = "lora" if "lora_" in name else "head" if "score" in name else "base"
        found.setdefault(part, set()).add(value.dtype)
    return {part: dtypes.pop() for part, dtypes in found.items() if len(dtypes) == 1}


@pytest.mark.parametrize(
    ("stored", "asked", "expected"),
    [
        ("bfloat16", "bfloat16", torch.bfloat16),
        ("float32", "bfloat16", torch.bfloat16),
        ("bfloat16", "float32", torch.float32),
        ("bfloat16", "auto", torch.bfloat16),
        ("float32", "auto", torch.float32),
    ],
)
def test_the_frozen_base_of_an_adapter_is_bfloat16_where_nothing_is_lost_by_it_or_it_was_asked_for(
    tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch, stored: str, asked: str, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})  # "auto" computes in bfloat16
    start = rounded_base(tmp_path / "rounded", base) if stored == "bfloat16" else base
    options = dataclasses.replace(OPTIONS, lora=True, dtype=asked)
    for kind in (POLICY, REWARD):
        model = load_trainable(start, kind, options)
        found = formats(model.state_dict())
        assert found.pop("head", torch.float32) == torch.float32
        assert found == {"base": expected, "lora": torch.float32}
        full = load_trainable(start, kind, dataclasses.replace(options, lora=False))
        assert {weight.dtype for weight in full.parameters()} == {torch.float32}


def test_shards_have_one_number_format(tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert base_dtype(base, dataclasses.replace(OPTIONS, lora=True, dtype="bfloat16")) == "float32"


@RUNS
def test_an_adapter_on_a_bfloat16_base_merges_into_bfloat16_and_every_stage_reads_it(
    tmp_path: Path, base: str, run: Run
) -> None:
    start = rounded_base(tmp_path / "rounded", base)
    lora = dataclasses.replace(OPTIONS, lora=True, lr=1e-2, dtype="bfloat16")
    run(model=start, out=str(tmp_path / "adapter"), options=lora)
    with pytest.raises(Interrupted):
        run(model=start, out=str(tmp_path / "merged"), options=dataclasses.replace(lora, merge=True), **stop_after(4))
    run(model=start, out=str(tmp_path / "merged"), options=dataclasses.replace(lora, merge=True))
    learnt = formats(weights(tmp_path / "adapter"))
    assert set(learnt.values()) == {torch.float32}
    merged = weights(tmp_path / "merged")
    assert formats({name: value for name, value in merged.items() if "score" not in name}) == {"base": torch.bfloat16}
    assert {value.dtype for name, value in merged.items() if "score" in name} <= {torch.float32}
    if run is prm:
        paths = [(problem, path) for problem in PROBLEMS[:3] for path in problem.paths]
        one, two = (Scorer(str(tmp_path / name)).score_paths(paths) for name in ("adapter", "merged"))
        for a, b in zip(one, two, strict=True):
            assert a == pytest.approx(b, abs=0.02)
        return
    ids = torch.arange(3, 40)[None]
    exact, rounded = (load_policy(str(tmp_path / name)).model for name in ("adapter", "merged"))
    with torch.no_grad():
        assert torch.allclose(exact(ids).logits, rounded(ids).logits, atol=0.1)
    for name, value in exact.state_dict().items():
        assert torch.equal(value.to(torch.bfloat16).float(), rounded.state_dict()[name]), f"{name} rounded twice"
