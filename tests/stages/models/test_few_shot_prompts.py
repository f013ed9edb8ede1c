"""Worked examples in prompts: as text, as turns, behind BOS; and multiple choice by likelihood, computed directly."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import torch

from evals.records import Problem, Prompting, Shot
from evals.tasks.prompts import PromptChoice
from stages.engines.hf.engine import HFEngine
from stages.eval import Evaluation
from stages.models.loading import load_policy
from stages.models.templates import Prompters, make_prompter
from stages.settings.evaluation import EvalSettings
from tests.lines import labelled_problem
from tests.models import build_model, build_tokenizer
from tests.stages.fakes import work

SHOTS = (Shot(id="s/0", question="1+1?", answer="2"), Shot(id="s/1", question="2+2?", answer="4"))
TEMPLATES = {"plain": "Question: {question}\nAnswer:\n"}


def asked(**how: object) -> Problem:
    problem = labelled_problem(1)
    problem.prompting = Prompting(**how)  # type: ignore[arg-type]  # as the tests give it
    return problem


def test_examples_stand_before_the_question_in_one_text_behind_one_bos() -> None:
    tokenizer = build_tokenizer()
    problem = asked(header="Do sums.\n", shots=SHOTS)
    prompter = make_prompter(tokenizer, TEMPLATES)
    question = labelled_problem(1).question
    text = prompter.prompt(problem)
    assert (
        text == f"Do sums.\nQuestion: 1+1?\nAnswer:\n2\n\nQuestion: 2+2?\nAnswer:\n4\n\nQuestion: {question}\nAnswer:\n"
    )
    ids = prompter.prompt_ids(problem)
    assert ids.count(tokenizer.bos_token_id) == 1
    assert tokenizer.decode(ids[1:]) == text
    encoded = prompter.encode(problem, "40+32=72", end=False)
    assert encoded.prompt_ids == ids
    assert prompter.prompt(labelled_problem(1)) == f"Question: {question}\nAnswer:\n", "and without them as ever"


def test_a_chat_model_gets_them_as_turns() -> None:
    prompter = make_prompter(build_tokenizer(chat=True), TEMPLATES)
    question = labelled_problem(1).question
    text = prompter.prompt(asked(header="Do sums. ", shots=SHOTS[:1]))
    turns = [("user", "Do sums. 1+1?"), ("assistant", "2"), ("user", question)]
    assert text == "<bos>" + "".join(f"<|{role}|>\n{said}\n" for role, said in turns) + "<|assistant|>\n"


def test_a_problem_may_name_its_template_and_the_model_s_own_stays_for_the_others() -> None:
    recorded = "Solve: {question}\n"
    prompters = Prompters(build_tokenizer(chat=True), "auto", recorded)
    question = labelled_problem(1).question
    assert prompters.of(labelled_problem(1)).prompt(labelled_problem(1)) == f"Solve: {question}\n"
    cot = asked(template="Q: {question}\nA:", shots=SHOTS[:1])
    assert prompters.of(cot).prompt(cot) == f"Q: 1+1?\nA: 2\n\nQ: {question}\nA:"
    chat = asked(template="chat")
    assert prompters.of(chat).prompt(chat).endswith("<|assistant|>\n")
    assert prompters.of(labelled_problem(2)) is prompters.of(labelled_problem(3)), "kept"


@pytest.mark.parametrize("chat", [False, True])
def test_multiple_choice_by_likelihood_is_what_a_direct_computation_says(tmp_path: Path, chat: bool) -> None:
    loaded = load_policy(build_model(tmp_path / "m", "llama", chat=chat, seed=3), "cpu", "float32")
    engine = HFEngine(loaded)
    tokenizer, model = loaded.tokenizer, loaded.model
    chosen = []
    for n in range(6):
        line = Problem.model_validate({
            "id": f"m/{n}", "task": "mmlu_math", "question": f"{n}+{n}?", "answer": "B", "mode": "loglikelihood",
            "subject": "abstract_algebra", "choices": [str(n), str(2 * n), "x", "y"],
            "shots": [{"id": "d/0", "question": "1+1?\nA. 2\nB. 3\nC. 4\nD. 5", "answer": "A"}],
        })  # fmt: skip
        problem, _ = work(Evaluation(engine, EvalSettings(), PromptChoice(shots=1)), line)
        told = problem.paths[0].model_extra or {}
        text = (
            "The following are multiple choice questions (with answers) about abstract algebra.\n\n"
            "1+1?\nA. 2\nB. 3\nC. 4\nD. 5\nAnswer: A\n\n"
            f"{n}+{n}?\nA. {n}\nB. {2 * n}\nC. x\nD. y\nAnswer:"
        )
        direct = {}
        for letter in "ABCD":
            prompt = tokenizer(text)["input_ids"]
            both = tokenizer(f"{text} {letter}")["input_ids"]
            assert both[: len(prompt)] == prompt
            with torch.inference_mode():
                logits = model(torch.tensor([both])).logits[0].log_softmax(-1)
            direct[letter] = sum(float(logits[i - 1, both[i]]) for i in range(len(prompt), len(both)))
        assert told["loglikelihoods"] == pytest.approx(direct, abs=1e-4)
        assert problem.paths[0].answer == max(direct, key=direct.__getitem__)
        chosen.append(problem.paths[0].answer)
    asyncio.run(engine.close())
    assert set(chosen) <= set("ABCD")
