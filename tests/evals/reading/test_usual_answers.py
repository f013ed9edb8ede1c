"""Answers in the dress that models and people give them, kind by kind: what a careful reader calls right and wrong."""

from __future__ import annotations

import time

import pytest

from evals.reading import answers, letters
from evals.tasks.math import MathTask

KINDS: dict[str, list[tuple[str, str, bool]]] = {
    "a prompt that is repeated": [
        ("12", "Question: 3 packs of 4. How many?\nAnswer: 3*4=12\n#### 12", True),
        ("12", "**Question:** 3 packs of 4?\n\n**Answer:** So there are 12.", True),
        ("12", "### Question:\n3 packs of 4?\n\n### Answer:\n3*4=12\nThe answer is 12", True),
        ("12", "Below is an instruction.\n\n### Instruction:\n3 packs of 4?\n\n### Response:\nIt is 12.", True),
        ("12", "### Problem\n3 packs of 4?\n\n### Solution\n3*4 = 12", True),
        ("12", "Problem: 3 packs of 4?\nSolution: 12", True),
        ("12", "Human: 3 packs of 4?\n\nAssistant: That makes 12.", True),
        ("12", "system\nYou are helpful\nuser\n3 packs of 4?\nassistant\nThat makes 12.", True),
        ("12", "[INST] 3 packs of 4? [/INST] That makes 12.</s>", True),
        ("12", "<s>[INST] 3 packs of 4? [/INST] That makes 12.</s>[INST] And 5 more? [/INST] 17", True),
        ("12", "<|im_start|>user\n3 packs of 4?<|im_end|>\n<|im_start|>assistant\nThat makes 12.<|im_end|>", True),
        ("12", "<start_of_turn>user\n3 and 4?<end_of_turn>\n<start_of_turn>model\nIt is 12.<end_of_turn>", True),
        ("12", "<|start_header_id|>user<|end_header_id|>\n\n3 of 4?<|eot_id|><|start_header_id|>assistant"
               "<|end_header_id|>\n\nIt is 12.<|eot_id|>", True),
        ("12", "Sure! Let me restate the problem.\nQuestion: 3 packs of 4?\n3*4=12, so 12.", True),
        ("12", "Question: 3 packs of 4?\nQuestion: 3 packs of 4?\nAnswer: 12", True),
        ("4", "Question: 3 packs of 4?", False),
        ("12", "I have 12.\nQuestion: 5 and 5?\nAnswer: 10", True),
        ("10", "Question: 3*4?\nAnswer: #### 12\n\nQuestion: 5 and 5?\nAnswer: #### 10", False),
    ],
    "a draft": [
        ("12", "<think>9? No.</think>12", True),
        ("9", "<think>The answer is 9.", False),
        ("12", "<thinking>The answer is 9.</thinking>\n<answer>12</answer>", True),
        ("12", "[THINK]The answer is 9.[/THINK]The answer is 12.", True),
        ("12", "<|begin_of_thought|>\\boxed{9}<|end_of_thought|>\n"
               "<|begin_of_solution|>It is 12.<|end_of_solution|>", True),
        ("12", "<|channel|>analysis<|message|>maybe \\boxed{9}<|end|><|start|>assistant<|channel|>final<|message|>"
               "So 12.<|return|>", True),
        ("12", "analysisThe answer is 9? No.assistantfinalThere are 12.", True),
        ("12", "The answer is 12.<|im_end|>\n<|im_start|>user\n5?<|im_end|>\n<|im_start|>assistant\n"
               "<think>5</think>5", True),
    ],
    "multipliers and powers of ten": [
        ("1200000", "The answer is 1.2 million.", True),
        ("1200000", "So they earn $1.2 million", True),
        ("1.2", "So they earn 1.2 million dollars.", False),
        ("1200000", "\\boxed{1.2\\text{ million}}", True),
        ("3000", "The answer is 3 thousand", True),
        ("200000", "The answer is 2 hundred thousand", True),
        ("24", "The answer is 2 dozen eggs.", True),
        ("2", "The answer is 2 dozen eggs.", False),
        ("5000", "The answer is $5k.", True),
        ("5000", "Answer: 5K", True),
        ("3000000", "Answer: $3M", True),
        ("2500000000", "It costs $2.5B", True),
        ("5", "The answer is 5 km", True),
        ("5", "The answer is 5m", True),
        ("250000", "The answer is 2.5 lakh", True),
        ("1200000", "\\boxed{1.2 \\times 10^{6}}", True),
        ("1200000", "1.2 \u00d7 10\u2076", True),
        ("1200000", "It is 1.2x10^6", True),
        ("1200000", "It is 1.2 * 10**6", True),
        ("0.0012", "It is $1.2 \\cdot 10^{-3}$", True),
        ("1000000", "The answer is 10^6", True),
        ("1200000", "It is 1.2e+06", True),
        ("10", "The answer is 10^6", False),
        ("30", "3 \u00d7 10 = 30", True),
        ("1024", "The answer is 2^10", False),
    ],
    "marks inside a line": [
        ("18", "So 18 in all. #### 18\n\nCheck: half is 9.", True),
        ("18", "3*6 = 18 #### 18", True),
        ("9", "##### 18\n9", True),
        ("18", "So **Final answer: 18** (half is 9)", True),
        ("18", "\\boxed 18 is what 2 of them have", True),
        ("18", "18 is the final answer, as 3 rows of 6 make it.", True),
        ("18", "18 apples is the answer because 3*6=18 and 2 are left", True),
        ("18", "## Final Answer\n\n18\n\nCheck: 3 rows of 6.", True),
        ("18", "**Final Answer**\n\n$$\n18\n$$\n(3 rows of 6)", True),
        ("18", "The answer to the problem is 18. It has 3 factors.", True),
        ("18", "The answer would be 18, with 3 rows of 6", True),
    ],
    "signs": [
        ("-3", "The answer is - 3.", True),
        ("3", "The answer is - 3.", False),
        ("-3", "\\boxed{- 3}", True),
        ("-3", "10 - 13 = - 3", True),
        ("-3", "\\boxed{-\\$3}", True),
        ("-3", "The answer is $-$3", True),
        ("-3", "The answer is negative 3.", True),
        ("-3", "The temperature is minus 3 degrees", True),
        ("-3", "The answer is \u20133", True),
        ("-3", "The answer is $ -3 $", True),
        ("18", "The answer is \u2014 18", True),
        ("7", "10 minus 3 is 7", True),
        ("3", "Answer:\n- 3 apples", True),
    ],
    "LaTeX": [
        ("1/2", "\\boxed{\\frac12}", True),
        ("1/2", "\\boxed{\\tfrac{1}{2}}", True),
        ("1/2", "\\boxed{\\dfrac 1 2}", True),
        ("1/10", "\\boxed{\\frac1{10}}", True),
        ("-1/2", "\\boxed{\\frac{-1}{2}}", True),
        ("-1/2", "\\boxed{-\\frac12}", True),
        ("3/2", "\\boxed{1\\frac{1}{2}}", True),
        ("500", "\\boxed{\\frac{1,000}{2}}", True),
        ("2", "So it is $\\frac{1}{2}$", False),
        ("1/2", "So it is $\\frac{1}{2}$.", True),
        ("90", "\\boxed{90^\\circ}", True),
        ("90", "\\boxed{90^{\\circ}}", True),
        ("12", "\\boxed{12\\mathrm{~cm}}", True),
        ("12", "\\boxed{12 \\text{ cm}^2}", True),
        ("12", "\\boxed{12\\,\\mathrm{m/s}}", True),
        ("12", "\\boxed{12\\%}", True),
        ("12", "\\boxed{\\textbf{12}}", True),
        ("12", "\\boxed{\\boxed{12}}", True),
        ("15", "\\boxed{\\15}", True),
        ("12", "\\[ x = \\boxed{12} \\]", True),
        ("12", "The answer is \\(12\\).", True),
        ("12", "The answer is $12 \\text{ apples}$.", True),
        ("12", "The answer is $\\$12$.", True),
        ("(3,\\frac{\\pi}{2})", "\\boxed{\\left( 3, \\dfrac{\\pi}{2} \\right)}", True),
        ("\\sqrt{2}", "\\boxed{\\sqrt2}", True),
        ("2", "\\boxed{\\sqrt2}", False),
        ("x^2", "\\boxed{x^{2}}", True),
        ("9\\pi", "\\boxed{9 \\pi}", True),
        ("9", "\\boxed{9 \\pi}", False),
        ("9", "The area is 9\u03c0", False),
    ],
    "separators": [
        ("11111111100", "\\boxed{11,\\! 111,\\! 111,\\! 100}", True),
        ("12000", "The answer is 12_000.", True),
        ("12000", "The answer is 12'000.", True),
        ("12000", "The answer is 12\u2019000.", True),
        ("12", "The answer is 12'000.", False),
        ("12000", "The answer is 12\u202f000.", True),
        ("12000", "\\boxed{12\\,000}", True),
        ("12000", "\\boxed{12~000}", True),
        ("1234567.5", "The answer is 1.234.567,50", True),
        ("123456", "The answer is \u20b91,23,456", True),
        ("101", "\\boxed{101_2}", False),
        ("12", "The answer is 12,5", False),
    ],
    "other scripts and vulgar fractions": [
        ("12", "The answer is \u0661\u0662", True),
        ("12", "The answer is \u0967\u0968.", True),
        ("12", "\\boxed{\U0001d7cf\U0001d7d0}", True),
        ("1.5", "The answer is 1\u00bd cups", True),
        ("0.5", "The answer is \u00bd", True),
        ("1", "The answer is 1\u00bd cups", False),
        ("2.75", "So 2 \u00be hours", True),
        ("2.5", "The answer is 2 and a half hours", True),
        ("1234", "The answer is 1\uff0c234\u3002", True),
        ("12", "The answer is cm\u00b2 12", True),
    ],
    "a run-on": [
        ("12", "#### 12<|endoftext|>Q: 30 and 4?\n#### 34", True),
        ("12", "12</s> 5 and 5 make 10", True),
        ("12", "It is 12<eos>And 13", True),
        ("12", "The answer is 12.<\uff5cend\u2581of\u2581sentence\uff5c>The answer is 13", True),
        ("12", "The answer is 12.\n\nHuman: 5 and 5?\n\nAssistant: The answer is 10", True),
        ("12", "The answer is 12.\n\nUser: 5 and 5?\n\nAssistant: The answer is 10", True),
        ("12", "So 12.\n\n### Instruction:\n5 and 5?\n\n### Response:\n10", True),
        ("12", "The answer is 12.\n\nProblem: 5 and 5?\nSolution: 10", True),
        ("12", "The answer is 12.\n\nQuestion 2: 5 and 5?\nThe answer is 10", True),
        ("12", "The answer is 12.\nuser\nand 5?\nassistant\nThe answer is 17.", True),
        ("12", "The answer is 12.assistant\n\nThe answer is 13.", True),
        ("10", "The problem: 3 and 4 and 3.\nExample: 3+4=7\nProblem: 7+3=10\nThe answer is 10", True),
    ],
    "sentences and tags": [
        ("12", "Answer: After 3 days she has 12 apples.", True),
        ("12", "The answer is that after 3 days she has 12 apples.", True),
        ("12", "Answer: In 3 hours of 2 shifts, they make 12 toys.", True),
        ("12", "The answer is that she has 12 apples after 3 days.", True),
        ("12", "Answer: She has 3 packs. Each has 4. So she has 12 apples.", True),
        ("18", "Answer: He sells 16 - 3 - 4 = 9 eggs. He makes 9 * 2 = $18.", True),
        ("12", "The answer is the product of 3 and 4, which is 12.", True),
        ("12", "The answer is 12 or 13.", False),
        ("12", "The answer is either 12 or 13 apples.", False),
        ("12", "The answer is between 12 and 13.", False),
        ("12", "The answer is 12-13.", False),
        ("12", "The answer is 12 to 13 apples.", False),
        ("5", "The answer is (5, 10).", False),
        ("5", "The answer is [5, 10]", False),
        ("5", "The answer is x > 5", False),
        ("3", "The answer is 3 + 4", False),
        ("3", "The answer is 3, 5 and 7.", False),
        ("4", "The answer is 4 red and 6 blue balls.", False),
        ("90", "The answer is 90 minutes, or 1.5 hours.", True),
        ("0.5", "The answer is 0.5, or 50%.", True),
        ("1.5", "The answer is $1.50 or 150 cents", True),
        ("18", "The answer is 18 dollars, 5 more than 13.", True),
        ("18", "The answer is 18, and that is 3*6.", True),
        ("12", "<answer>\n12\n</answer>\nUsed 3 rows of 4.", True),
        ("12", "<answer>3 packs of 4 make 12 apples.</answer>", True),
        ("12", "<final_answer>12</final_answer> as 3 rows", True),
        ("12", '{"steps": "3 rows of 4", "answer": 12, "rows": 3}', True),
        ("12", '{"final_answer": "12 apples", "rows": 3}', True),
        ("12", "Put it in <answer></answer>: <answer>12</answer>, 3 rows", True),
    ],
}  # fmt: skip
ALL = [(kind, *case) for kind, cases in KINDS.items() for case in cases]


@pytest.mark.parametrize(("kind", "gold", "text", "right"), ALL)
def test_what_a_careful_reader_calls_right(kind: str, gold: str, text: str, right: bool) -> None:
    answer, match = answers.match(gold, text)
    assert match.robust is right, f"{kind}: read {answer!r}"


QUESTION = "How much is it, in millions of dollars?"


@pytest.mark.parametrize(
    ("question", "gold", "text", "right"),
    [
        (QUESTION, "4", "There is 32 - 28 = $4 million left.", True),
        (QUESTION, "4000000", "There is 32 - 28 = $4 million left.", True),
        (QUESTION, "4", "There is 32 - 28 = $4 thousand left.", False),
        ("How many dozen eggs are there?", "7", "The answer is 7 dozen.", True),
        ("Each month he pays $24k. How much a day?", "2", "He pays $2k a day.", True),
        ("How many eggs are there in all?", "7", "The answer is 7 dozen.", False),
    ],
)
def test_where_the_question_counts_in_millions_they_are_the_unit(
    question: str, gold: str, text: str, right: bool
) -> None:
    assert answers.match(gold, text, question=question)[1].robust is right


def test_the_problems_own_question_ends_a_repeated_prompt_with_its_examples() -> None:
    question = "Kim has 3 packs of 4 pens. How many pens are there?"
    prompt = f"Question: 5 and 5?\nAnswer: #### 10\n\nQuestion: {question}\nAnswer:"
    assert answers.robust(f"{prompt} 3*4=12\n#### 12\n\nQuestion: 1 and 1?\nAnswer: #### 2", question) == "12"
    assert answers.robust(question, question) is None, "nothing was said but the question"
    assert answers.robust(f"The answer is 12.\n\n{question} The answer is 13.", question) == "13", (
        "said again, not repeated"
    )


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("Question: 3 packs of 4?\nAnswer: 3*4=12\n#### 12", ["3*4=12"]),
        ("### Question:\n3 packs of 4?\n\n### Answer:\n2*4=8\n8+4=12\nThe answer is 12", ["2*4=8", "8+4=12"]),
        ("3*4=12<|im_end|>\n<|im_start|>user\nand 5?", ["3*4=12"]),
        ("3*4=12\n<answer>12</answer>", ["3*4=12"]),
    ],
)
def test_a_repeated_prompt_and_a_run_on_are_no_steps(text: str, steps: list[str]) -> None:
    split = MathTask("math").split(text)
    assert split.steps == steps
    for j in range(len(steps)):
        assert MathTask("math").split(split.prefix(text, j)).steps == steps[: j + 1]


PIECES = [
    "12,", "1,00,", "1'000", "1_000", "1.000", "1 million ", "10^", "\\times 10", "- ", "\u00bd", "\u0661", "\u00b2",
    "\\frac1", "\\left", "\\text{\\$", "^{", "\\!  ", "Question: a\n", "Problem:\n", "<|a|>", "<|", "user\n",
    "Answer:\n", "### ", "<think>", "</think><|a|>", "Q", "answer", "<answer>", "#### 1 ", "is the answer ", "1 or ",
    "1, ", "After 3 ", "which is ", "So 1. ", "B or ", "option ", "B is ",
]  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_the_work_grows_with_the_text_and_not_with_its_square(piece: str) -> None:
    """A text eight times as long takes about eight times as long to read; its square would be 64."""
    seconds = []
    for size in (5_000, 40_000):
        text = piece * (size // len(piece))
        took = []
        for _ in range(2):
            begun = time.process_time()
            for read in (text, f"The answer is {text}"):
                answers.match("18", read, question=QUESTION)
            letters.robust(text, ["1", "2", "3", "4"])
            MathTask("math").split(text)
            took.append(time.process_time() - begun)
        seconds.append(max(min(took), 0.001))
    assert seconds[1] / seconds[0] < 30
