"""The standard prompts: their published wording, and which worked examples they show."""

from __future__ import annotations

import json

import pytest

from evals.datasets import gsm8k, humaneval, mbpp
from evals.errors import DataError, UsageError
from evals.reading import answers
from evals.records import Problem, Prompting
from evals.tasks import shots, task
from evals.tasks.prompts import STANDARD_PROMPTS, PromptChoice, plain_prompt, shot_of, standard_prompt, turns
from tests.data import need


def problem(n: int = 0, **fields: object) -> Problem:
    line = {
        "id": f"p/{n}", "task": "gsm8k", "question": f"{n} and one?", "answer": str(n + 1),
        "solution": [f"{n}+1=<<{n}+1={n + 1}>>{n + 1}"],
    }  # fmt: skip
    return Problem.model_validate({**line, **fields})


def rendered(choice: PromptChoice, line: Problem) -> str:
    prompting = choice.of(line)
    assert prompting is not None
    question = task(line.task).question(line)
    return plain_prompt(prompting.template or "{question}", question, prompting.header, prompting.shots)


def test_gsm8k_s_prompt_has_the_first_five_training_problems() -> None:
    rows = [json.loads(line) for line in need("gsm8k/train.jsonl").read_text(encoding="utf-8").splitlines()[:5]]
    blocks = [f"Question: {row['question']}\nAnswer: {row['answer']}" for row in rows]
    text = rendered(PromptChoice("lm-eval"), problem())
    assert text == "\n\n".join([*blocks, "Question: 0 and one?\nAnswer:"])
    # The same from a file of lines: the examples' answers are put together again as they were published.
    pool = tuple(gsm8k.problems(rows, "train"))
    assert rendered(PromptChoice("lm-eval", pool=pool), problem()) == text
    assert PromptChoice("lm-eval").of(problem()).stop == ("Question:",)  # type: ignore[union-attr]  # a named prompt is one


def test_the_chain_of_thought_prompt_has_the_eight_published_examples() -> None:
    text = rendered(PromptChoice("lm-eval-cot"), problem())
    blocks = text.split("\n\n")
    assert len(blocks) == 9
    assert blocks[0].startswith("Q: There are 15 trees in the grove.")
    assert blocks[0].endswith("So there must have been 21 - 15 = 6. The answer is 6.")
    assert blocks[-1] == "Q: 0 and one?\nA:"
    assert [answers.robust(shot.answer) for shot in shots.CHAIN_OF_THOUGHT_SHOTS] == [
        "6",
        "5",
        "39",
        "8",
        "9",
        "29",
        "33",
        "8",
    ]


def test_mbpp_s_prompt_has_the_published_tasks_2_3_and_4() -> None:
    rows = [json.loads(line) for line in need("mbpp/mbpp.jsonl").read_text(encoding="utf-8").splitlines()]
    line = next(mbpp.problems(rows, "test"))
    blocks = [
        f"You are an expert Python programmer, and here is your task: {row['text']} Your code should pass these tests:"
        f"\n\n{row['test_list'][0]}\n{row['test_list'][1]}\n{row['test_list'][2]}\n[BEGIN]\n"
        for row in (*rows[1:4], rows[10])
    ]
    codes = [row["code"].replace("\r\n", "\n") + "\n[DONE]" for row in rows[1:4]]
    assert [row["task_id"] for row in rows[1:4]] == [2, 3, 4]
    examples = [block + code for block, code in zip(blocks, codes, strict=False)]
    assert rendered(PromptChoice("lm-eval"), line) == "\n\n".join([*examples, blocks[-1]])
    assert PromptChoice("lm-eval").of(line).stop == ("[DONE]",)  # type: ignore[union-attr]  # a named prompt is one


def test_humaneval_s_prompt_is_the_raw_beginning_of_the_function() -> None:
    line = next(humaneval.problems())
    assert rendered(PromptChoice("lm-eval"), line) == line.question
    assert PromptChoice("lm-eval").of(line).stop is None, "the task's own: a class, a function, a comment, ..."  # type: ignore[union-attr]  # as above
    assert task("humaneval").stop == ("\nclass", "\ndef", "\n#", "\nif", "\nprint")


def test_fewer_examples_are_the_first_of_more() -> None:
    ids = [[s.id for s in PromptChoice("lm-eval", n).of(problem()).shots] for n in (0, 2, 5)]  # type: ignore[union-attr]  # as above
    assert ids == [[], ["gsm8k/train/0", "gsm8k/train/1"], [f"gsm8k/train/{n}" for n in range(5)]]
    with pytest.raises(UsageError, match="6 worked examples are asked for, and there are 5"):
        PromptChoice("lm-eval", 6).of(problem())


def test_without_a_choice_the_model_s_own_prompt_stays() -> None:
    assert PromptChoice().of(problem()) is None
    assert PromptChoice(template="chat").of(problem()) is None, "the template alone is the engine's business"


def test_a_template_of_the_task_is_a_prompt_without_examples_unless_they_are_asked_for() -> None:
    assert PromptChoice("paper").of(problem()) == Prompting(task("gsm8k").templates["paper"])
    pool = (problem(1), problem(2))
    assert rendered(PromptChoice("plain", 2, pool), problem()) == (
        "Question: 1 and one?\nAnswer:\n1+1=<<1+1=2>>2\nThe answer is 2\n\n"
        "Question: 2 and one?\nAnswer:\n2+1=<<2+1=3>>3\nThe answer is 3\n\nQuestion: 0 and one?\nAnswer:\n"
    )
    assert PromptChoice("auto", 1, pool).of(problem()) == Prompting(None, shots=(shot_of(problem(1)),))


def test_a_template_that_is_asked_for_wins_over_the_preset_s() -> None:
    prompting = PromptChoice("lm-eval", template="chat").of(problem())
    assert prompting is not None
    assert (prompting.template, len(prompting.shots)) == ("chat", 5)
    assert standard_prompt("gsm8k", "chat").template == "chat"


def test_a_problem_is_never_its_own_example_and_subjects_keep_to_themselves() -> None:
    pool = tuple(problem(n) for n in range(4))
    found = PromptChoice("plain", 3, pool).of(problem(1))
    assert [shot.id for shot in found.shots] == ["p/0", "p/2", "p/3"]  # type: ignore[union-attr]  # as above
    copy = problem(9, question="2 and one?")
    assert [s.id for s in PromptChoice("plain", 3, pool).of(copy).shots] == ["p/0", "p/1", "p/3"]  # type: ignore[union-attr]  # as above
    mixed = tuple(problem(n, subject="odd" if n % 2 else "even") for n in range(6))
    line = problem(99, subject="odd")
    assert [s.id for s in PromptChoice("plain", 3, mixed).of(line).shots] == ["p/1", "p/3", "p/5"]  # type: ignore[union-attr]  # as above


def test_an_example_needs_what_the_prompt_shows() -> None:
    bare = problem(1, solution=None)
    with pytest.raises(DataError, match="p/1: solution: missing"):
        shot_of(bare, "{solution}\n#### {answer}")
    with pytest.raises(DataError, match="p/1: gold: missing"):
        shot_of(bare)


def test_an_unknown_prompt_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="the task gsm8k has no prompt 'lmeval'") as caught:
        PromptChoice("lmeval").of(problem())
    for name in ("auto", "chat", "lm-eval", "lm-eval-cot", "paper", "plain"):
        assert name in caught.value.advice


def test_chat_turns_carry_the_examples_as_an_exchange() -> None:
    prompting = PromptChoice("lm-eval", 1).of(problem())
    assert prompting is not None
    messages = turns("0 and one?", "Think.\n\n", prompting.shots)
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[0]["content"] == "Think.\n\n" + shots.GSM8K_SHOTS[0].question
    assert messages[1]["content"] == shots.GSM8K_SHOTS[0].answer
    assert turns("q", "Think. ") == [{"role": "user", "content": "Think. q"}]


def test_the_manifest_names_the_examples_and_changes_with_them() -> None:
    facts = PromptChoice("lm-eval").describe()
    assert facts["gsm8k"]["ids"] == [f"gsm8k/train/{n}" for n in range(5)]
    assert facts == PromptChoice("lm-eval").describe()
    assert facts["gsm8k"]["sha256"] != PromptChoice("lm-eval", 4).describe()["gsm8k"]["sha256"]
    pool = tuple(problem(n) for n in range(3))
    given = PromptChoice("plain", 2, pool).describe()
    assert given["shots_from"]["ids"] == ["p/0", "p/1", "p/2"], "as many as any problem may be shown"
    assert given != PromptChoice("plain", 2, (problem(0, answer="7"), *pool[1:])).describe()
    assert PromptChoice().describe() == {"prompt": "auto", "shots": None}


@pytest.mark.parametrize("name", sorted({name for presets in STANDARD_PROMPTS.values() for name in presets}))
def test_every_standard_prompt_says_where_it_is_published(name: str) -> None:
    for presets in STANDARD_PROMPTS.values():
        if name in presets:
            assert presets[name].source
