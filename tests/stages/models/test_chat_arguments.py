"""What a chat template is told and what it writes by itself: hashed, recorded, and told again by every later stage."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from evals.errors import DataError, UsageError
from stages.engines.hf.engine import HFEngine
from stages.engines.hf.opening import describe, open_engine
from stages.engines.opening import describe_engine
from stages.models.loading import load_policy
from stages.models.naming import read_card
from stages.models.prompts import Prompter
from stages.models.templates import chat_arguments, make_prompter
from stages.orpo import run_orpo
from stages.scorers.hf import Scorer
from stages.settings.model import EngineSettings, ScorerSettings
from stages.settings.training import TrainSettings
from stages.sft import run_sft
from stages.train_prm import run_train_prm
from tests.lines import labelled_problem, pair
from tests.models import build_model, build_tokenizer

DATED = (
    "Today is {{ date_string if date_string is defined else strftime_now('%d %b %Y') }}."
    "{% if enable_thinking is defined and not enable_thinking %}<no thinking>{% endif %}"
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>\n{% endif %}"
)
ALTERNATING = (
    "{% for m in messages %}{% if (m['role']=='user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
)
PROBLEMS = [labelled_problem(i) for i in range(6)]
TOLD = ("date_string=26 Jul 2024", "enable_thinking=false")
OPTIONS = TrainSettings(epochs=1, batch=4, device="cpu", dtype="float32")


def with_template(model: str, template: str) -> str:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(model)
    return model


@pytest.fixture
def base(tmp_path: Path) -> str:
    return with_template(build_model(tmp_path / "base", "llama"), DATED)


@pytest.fixture
def another_day(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.utils import chat_template_utils

    class Then(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Then:
            return cls(2031, 2, 3)

    monkeypatch.setattr(chat_template_utils, "datetime", Then)


def dated(**told: Any) -> Prompter:
    tokenizer = build_tokenizer("llama", chat=True)
    tokenizer.chat_template = DATED
    return make_prompter(tokenizer, {}, "chat", None, told)


def test_two_days_two_hashes_unless_the_date_is_told(request: pytest.FixtureRequest) -> None:
    today, told = dated().describe(), dated(date_string="1 Jan 2000").describe()
    request.getfixturevalue("another_day")
    assert "Today is 03 Feb 2031" in dated().prompt(PROBLEMS[0])
    assert dated().describe()["sha256"] != today["sha256"], "one template, another prompt"
    assert dated(date_string="1 Jan 2000").describe() == told
    assert told["chat_args"] == {"date_string": "1 Jan 2000"}


def test_what_is_typed_is_read_and_goes_over_what_was_recorded() -> None:
    card = {"chat_args": {"enable_thinking": True, "date": "today"}}
    assert chat_arguments((), card) == card["chat_args"]
    assert chat_arguments((), {}) == {}
    typed = ("enable_thinking=false", "n=3", 'year="2024"', "word=a = b", "odd=NaN", "none=")
    assert chat_arguments(typed, card) == {
        "enable_thinking": False, "date": "today", "n": 3, "year": "2024", "word": "a = b", "odd": "NaN", "none": "",
    }  # fmt: skip
    for bad in (("x",), ("=3",), ("a b=1",), ("a=1", "a=2"), ("tokenize=true",), ("messages=[]",)):
        with pytest.raises(UsageError, match="--chat-arg"):
            chat_arguments(bad, {})


def test_every_later_stage_tells_the_template_what_the_model_was_trained_with(base: str, tmp_path: Path) -> None:
    m0, prm, m1 = (str(tmp_path / name) for name in ("m0", "prm", "m1"))
    made = run_sft(PROBLEMS, model=base, out=m0, options=dataclasses.replace(OPTIONS, chat_arg=TOLD))
    told = {"date_string": "26 Jul 2024", "enable_thinking": False}
    card = read_card(m0)
    assert (card["template"], card["chat_args"]) == ("chat", told)
    assert card["prompt_sha256"] == made["template"]["sha256"]
    assert made["template"]["chat_args"] == told
    run_train_prm(PROBLEMS, model=m0, out=prm, options=OPTIONS)
    run_orpo([pair(i) for i in range(6)], model=m0, out=m1, options=OPTIONS)
    expected = "Today is 26 Jul 2024.<no thinking><user>"
    for model in (m0, m1):
        settings = EngineSettings(model=model, device="cpu")
        engine = open_engine(settings)
        assert engine.prompter(PROBLEMS[0]).prompt(PROBLEMS[0]).startswith(expected)
        facts = describe(settings)
        assert (facts["chat_args"], facts["prompt_sha256"]) == (told, card["prompt_sha256"])
    assert HFEngine(load_policy(m0, "cpu")).prompter(PROBLEMS[0]).prompt(PROBLEMS[0]).startswith(expected)
    assert Scorer(prm).prompter(PROBLEMS[0]).prompt(PROBLEMS[0]).startswith(expected)
    assert read_card(m1)["chat_args"] == read_card(prm)["chat_args"] == told
    over = EngineSettings(model=m0, device="cpu", chat_arg=("date_string=now",))
    assert open_engine(over).prompter(PROBLEMS[0]).prompt(PROBLEMS[0]).startswith("Today is now.<no thinking>")
    assert describe(over)["prompt_sha256"] != card["prompt_sha256"]
    with pytest.raises(UsageError, match="was trained with other --chat-arg"):
        Scorer(prm, ScorerSettings(chat_arg=("date_string=now",))).prompter(PROBLEMS[0])


def test_a_run_is_another_on_another_day_unless_the_date_is_told(
    base: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    loose = EngineSettings(model=base, device="cpu")
    fixed = dataclasses.replace(loose, chat_arg=("date_string=1 Jan",))
    before = [describe(settings) for settings in (loose, fixed)]
    request.getfixturevalue("another_day")
    after = [describe(settings) for settings in (loose, fixed)]
    assert before[0]["prompt_sha256"] != after[0]["prompt_sha256"]
    assert before[1] == after[1]


def test_a_plain_template_drifts_not_and_takes_no_arguments(tmp_path: Path) -> None:
    plain = build_model(tmp_path / "plain", "llama")
    assert "prompt_sha256" not in describe(EngineSettings(model=plain, device="cpu"))
    with pytest.raises(UsageError, match="--chat-arg tells a chat template, and none is used"):
        describe(EngineSettings(model=plain, device="cpu", chat_arg=TOLD))
    server = EngineSettings(engine="server", url=("http://localhost:1/v1",), model="m", chat_arg=TOLD)
    with pytest.raises(UsageError, match="--chat-arg needs --tokenizer"):
        describe_engine(server)
    with_tokenizer = dataclasses.replace(server, tokenizer=with_template(plain, DATED))
    assert describe_engine(with_tokenizer)["chat_args"]["enable_thinking"] is False


def test_a_template_that_raises_is_bad_data_and_says_why(base: str) -> None:
    tokenizer = build_tokenizer("llama", chat=True)
    for template, said in (
        (ALTERNATING, "roles must alternate"),
        ("{{ messages[0].content.nothing.more }}", "refuses"),
        ("{{ messages[0].content + 3 }}", "refuses"),
        ("{% if %}", "refuses"),
    ):
        tokenizer.chat_template = template
        prompter = make_prompter(tokenizer, {}, "chat")
        system = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "1 and 2?"}]
        with pytest.raises(DataError, match=r"^prompt: the model's chat template refuses it") as caught:
            prompter.encode_raw(system, "3", end=True)
        assert said in str(caught.value)
        with pytest.raises(DataError, match="refuses it"):
            prompter.step_positions_raw(system, "3", [1])
    with pytest.raises(DataError, match="refuses it"):
        describe(EngineSettings(model=with_template(base, "{{ raise_exception('no') }}"), device="cpu"))
