"""One prompt for every stage: ids, boundaries, step positions, templates."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evals.datasets import humaneval
from evals.errors import DataError, ModelError, UsageError
from evals.tasks import task_of
from stages.models.prompts import Prompter
from stages.models.templates import make_prompter
from stages.settings.labels import LabelKind
from stages.training.pair_rows import pair_rows
from stages.training.sft_rows import sft_rows
from stages.training.step_rows import step_rows
from tests.lines import labelled_problem, pair
from tests.models import build_tokenizer

TEMPLATES = {"plain": "Question: {question}\nAnswer:\n", "terse": "{question}\n"}
MANNERS = [
    ("llama", True, False),
    ("llama", False, True),
    ("qwen2", False, False),
    ("qwen2", False, True),
    ("gemma2", True, True),
    ("gemma2", True, False),
]
TEXTS = ["40+32=72\n  72-5 = 67\n\n\tThe answer is 67", " 40+32", "\n\nTom — ½ café", "40\n", "  x\r\ny "]


@pytest.fixture(params=MANNERS, ids=str)
def prompter(request: Any) -> Prompter:
    family, bos, chat = request.param
    return make_prompter(build_tokenizer(family, bos=bos, chat=chat), TEMPLATES)


@pytest.mark.parametrize("text", TEXTS)
def test_completion_survives_and_leaves_the_prompt_ids_alone(prompter: Prompter, text: str) -> None:
    problem = labelled_problem(1)
    encoded = prompter.encode(problem, text, end=True)
    assert encoded.prompt_ids == prompter.prompt_ids(problem)
    assert encoded.completion_ids[-1] == prompter.tokenizer.eos_token_id
    assert prompter.tokenizer.decode(encoded.completion_ids[:-1]) == text


def test_every_stage_has_the_same_prompt_ids(prompter: Prompter) -> None:
    problem = labelled_problem(3)
    expected = prompter.prompt_ids(problem)
    sft, _ = sft_rows([problem], prompter, 500)
    orpo, _ = pair_rows([pair(3)], prompter, 500)
    steps, _ = step_rows([problem], prompter, LabelKind("hard"), 500)
    length = len(expected)
    assert sft[0]["input_ids"][:length] == expected
    assert set(sft[0]["labels"][:length]) == {-100}
    assert sft[0]["labels"][length:] == sft[0]["input_ids"][length:]
    assert orpo[0]["chosen_input_ids"][:length] == orpo[0]["rejected_input_ids"][:length] == expected
    assert set(orpo[0]["chosen_labels"][:length]) == {-100}
    assert [row.ids[:length] for row in steps] == [expected, expected]


@pytest.mark.parametrize(("family", "bos", "chat"), MANNERS)
def test_bos_stands_in_front_once_exactly_where_the_tokenizer_puts_it(family: Any, bos: bool, chat: bool) -> None:
    tokenizer = build_tokenizer(family, bos=bos, chat=chat)
    ids = make_prompter(tokenizer, TEMPLATES).prompt_ids(labelled_problem(0))
    written = bos or (chat and tokenizer.bos_token is not None)
    assert ids.count(tokenizer.convert_tokens_to_ids("<bos>")) == (1 if written else 0)


def test_a_completion_that_would_melt_into_the_prompt_is_tokenised_on_its_own() -> None:
    tokenizer = build_tokenizer("qwen2", bos=False)
    prompter = make_prompter(tokenizer, {"open": "Question: {question} Answer: "})
    problem = labelled_problem(0)
    whole = tokenizer(prompter.prompt(problem) + "Tom", add_special_tokens=False)["input_ids"]
    encoded = prompter.encode(problem, "Tom", end=False)
    assert whole[: len(encoded.prompt_ids)] != encoded.prompt_ids, "the case must be a real one"
    assert encoded.prompt_ids == prompter.prompt_ids(problem)
    assert tokenizer.decode(encoded.completion_ids) == "Tom"


def test_step_positions_are_the_last_token_of_each_step(prompter: Prompter) -> None:
    problem, text = labelled_problem(2), "40+32=72\n72-5=67\nThe answer is 67"
    ids, positions = prompter.step_positions(problem, text, [8, 16])
    start = len(prompter.prompt_ids(problem))
    assert ids == prompter.encode(problem, text, end=False).ids
    assert [prompter.tokenizer.decode(ids[start : p + 1]) for p in positions] == ["40+32=72", "40+32=72\n72-5=67"]


def test_a_slow_tokenizer_cannot_mark_steps() -> None:
    prompter = make_prompter(build_tokenizer(), TEMPLATES)
    slow = SimpleNamespace(is_fast=False)
    object.__setattr__(prompter, "tokenizer", slow)
    with pytest.raises(ModelError, match="which characters"):
        prompter.step_positions(labelled_problem(0), "1+1=2", [5])


def test_braces_in_a_question_are_left_alone() -> None:
    prompter = make_prompter(build_tokenizer(), TEMPLATES)
    problem = labelled_problem(0).model_copy(update={"question": "What is {x} in {0} and {question}?"})
    assert prompter.prompt(problem) == "Question: What is {x} in {0} and {question}?\nAnswer:\n"


def test_auto_prefers_what_the_folder_recorded_then_chat_then_the_first(tmp_path: Path) -> None:
    chat, plain = build_tokenizer(chat=True), build_tokenizer()
    assert make_prompter(chat, TEMPLATES, recorded=TEMPLATES["terse"]).name == "terse"
    assert make_prompter(chat, TEMPLATES).name == "chat"
    assert make_prompter(plain, TEMPLATES).name == "plain"
    assert make_prompter(chat, TEMPLATES, "plain").text == TEMPLATES["plain"]
    file = tmp_path / "mine.txt"
    file.write_text("Q: {question}\nA:")
    mine = make_prompter(plain, TEMPLATES, str(file))
    assert (mine.name, mine.text) == ("mine.txt", "Q: {question}\nA:")
    again = make_prompter(plain, TEMPLATES, recorded=mine.recorded)
    assert again.describe()["sha256"] == mine.describe()["sha256"]


@pytest.mark.parametrize("template", ["nothing", "chat"])
def test_a_template_that_is_not_there_is_refused(template: str) -> None:
    with pytest.raises(UsageError):
        make_prompter(build_tokenizer(), TEMPLATES, template)


def test_a_template_file_must_say_where_the_question_goes(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("Answer this:")
    with pytest.raises(UsageError, match="where the question goes"):
        make_prompter(build_tokenizer(), TEMPLATES, str(tmp_path / "bad.txt"))


def test_given_prompts_are_taken_as_text_or_as_messages() -> None:
    chat = make_prompter(build_tokenizer(chat=True), TEMPLATES)
    messages = [{"role": "user", "content": labelled_problem(0).question}]
    assert chat.encode_raw(messages, "72", True) == chat.encode(labelled_problem(0), "72", True)
    plain = make_prompter(build_tokenizer(), TEMPLATES)
    text = plain.prompt(labelled_problem(0))
    assert plain.encode_raw(text, "72", True) == plain.encode(labelled_problem(0), "72", True)
    with pytest.raises(DataError, match="no chat template"):
        plain.encode_raw(messages, "72", True)


def test_a_chat_models_program_is_not_cut_at_its_first_line() -> None:
    problem = next(humaneval.problems())
    templates, stop = task_of(problem).templates, task_of(problem).stop
    chat = make_prompter(build_tokenizer(chat=True), templates, "chat")
    assert chat.stops(stop, problem) == ()
    assert make_prompter(build_tokenizer(), templates).stops(stop, problem) == stop
    assert chat.stops(("Question:",), labelled_problem(1)) == ("Question:",)
