"""The counter-based numbers against pure-Python arithmetic, and the distribution of what is picked by them."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
import torch

from evals.errors import ModelError
from stages.engines.hf import sampling
from stages.engines.hf.sampling import least_kept, pick, uniform

WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def splitmix64(state: int) -> int:
    """The finaliser of Steele, Lea and Flood, in unsigned 64-bit arithmetic."""
    z = state & WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return z ^ (z >> 31)


def signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def picks(
    logits: torch.Tensor, n: int, temperature: float = 1.0, top_p: float | None = None, count: int = 0
) -> Counter[int]:
    """What `n` rows of different seeds pick from the same logits."""
    rows = logits.expand(n, -1)
    rng = random.Random(5)
    seeds = torch.tensor([rng.getrandbits(63) for _ in range(n)])
    limit = None if top_p is None else torch.full((n,), top_p)
    tokens = pick(rows, seeds, torch.full((n,), count), torch.full((n,), temperature), limit)
    return Counter(tokens.tolist())


def chi_square(seen: Counter[int], expected: list[float], n: int) -> float:
    """Per degree of freedom, over the tokens that are expected at least 5 times."""
    cells = [(seen[i], p * n) for i, p in enumerate(expected) if p * n >= 5]
    return sum((a - b) ** 2 / b for a, b in cells) / (len(cells) - 1)


def test_the_first_words_of_splitmix64_are_the_published_ones() -> None:
    # Of seed 1234567.
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert [splitmix64(1234567 + i * GOLDEN) for i in range(1, 6)] == known
    states = torch.tensor([signed((1234567 + i * GOLDEN) & WORD) for i in range(1, 6)])
    assert [word & WORD for word in sampling._mix(states).tolist()] == known


def test_numbers_equal_unsigned_arithmetic_of_seed_and_token_index() -> None:
    rng = random.Random(1)
    seeds = [0, 1, (1 << 63) - 1, *(rng.getrandbits(63) for _ in range(20))]
    counts = [0, 1, 511, *(rng.randrange(4096) for _ in range(20))]
    made = uniform(torch.tensor(seeds), torch.tensor(counts)).tolist()
    words = [splitmix64(seed + (count + 1) * GOLDEN) for seed, count in zip(seeds, counts, strict=True)]
    assert made == [((word >> 12) + 0.5) / 2**52 for word in words]


@pytest.mark.parametrize(("word", "token"), [(0, 1), (-1, 4)])
def test_the_least_and_the_greatest_number_pick_tokens_that_have_a_probability(
    monkeypatch: pytest.MonkeyPatch, word: int, token: int
) -> None:
    monkeypatch.setattr(sampling, "_mix", lambda z: torch.full_like(z, word))
    logits = torch.full((1, 700), float("-inf"))
    logits[0, 1:6] = torch.tensor([-30.0, 0.0, 1.0, 0.0, -60.0])
    assert pick(logits, torch.tensor([3]), torch.tensor([0]), torch.ones(1)).item() == token
    kept = pick(logits, torch.tensor([3]), torch.tensor([0]), torch.ones(1), torch.tensor([0.1]))
    assert kept.item() == 3, "the only token kept is drawn whatever the number"


@pytest.mark.parametrize("size", [1, 255, 256, 257, 700])
def test_a_token_is_the_first_whose_cumulative_probability_exceeds_the_number(size: int) -> None:
    torch.manual_seed(4)
    logits = torch.randn(300, size) * 3
    seeds, counts = torch.arange(300) * 17, torch.arange(300)
    numbers = uniform(seeds, counts)
    running = logits.double().softmax(-1).cumsum(-1)
    expected = (running <= numbers[:, None]).sum(-1)
    near = (running - numbers[:, None]).abs().min(-1).values < 1e-6
    picked = pick(logits, seeds, counts, torch.ones(300))
    assert torch.equal(picked[~near], expected[~near])
    assert near.sum() < 10


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_tokens_are_drawn_from_the_softmax_at_the_temperature(temperature: float) -> None:
    torch.manual_seed(0)
    logits, n = torch.randn(12) * 1.5, 40_000
    expected = (logits / temperature).softmax(-1).tolist()
    for count in (0, 7):
        assert chi_square(picks(logits, n, temperature, count=count), expected, n) < 2.5
    other = (logits / (temperature * 1.3)).softmax(-1).tolist()
    assert chi_square(picks(logits, n, temperature), other, n) > 5, "the test must be able to fail"


def test_draws_of_one_row_over_time_are_independent() -> None:
    n = 20_000
    counts = torch.arange(n)
    logits = torch.zeros(n, 4)
    tokens = pick(logits, torch.full((n,), 99), counts, torch.ones(n))
    pairs = Counter((tokens[:-1] * 4 + tokens[1:]).tolist())
    assert chi_square(pairs, [1 / 16] * 16, n) < 2.5


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.8, 0.95])
def test_top_p_keeps_the_smallest_set_that_reaches_the_mass(top_p: float) -> None:
    torch.manual_seed(3)
    logits = torch.randn(50, 40) * 2
    kept = logits >= least_kept(logits, torch.full((50,), top_p))[:, None]
    for row in range(50):
        shares = sorted(logits[row].double().softmax(-1).tolist(), reverse=True)
        held = int(kept[row].sum())
        assert sum(shares[:held]) >= top_p - 1e-6
        assert sum(shares[: held - 1]) < top_p + 1e-6
        assert logits[row][kept[row]].min() >= logits[row][~kept[row]].max() if held < 40 else True


def test_an_excluded_token_is_never_drawn_and_the_rest_keep_their_proportions() -> None:
    torch.manual_seed(0)
    logits, n = torch.randn(12) * 1.5, 40_000
    kept = logits >= least_kept(logits[None], torch.tensor([0.7]))
    seen = picks(logits, n, 1.0, 0.7)
    assert set(seen) == set(torch.nonzero(kept).flatten().tolist())
    expected = logits.masked_fill(~kept, float("-inf")).softmax(-1).tolist()
    assert chi_square(seen, expected, n) < 2.5


def test_rows_do_not_see_each_others_settings() -> None:
    torch.manual_seed(1)
    logits = torch.randn(6, 30)
    seeds, counts = torch.arange(6) * 7 + 1, torch.tensor([0, 3, 9, 0, 1, 2])
    temperatures = torch.tensor([0.0, 1.0, 0.7, 0.0, 1.5, 1.0])
    top_p = torch.tensor([1.0, 0.9, 1.0, 0.5, 0.3, 1.0])
    together = pick(logits, seeds, counts, temperatures, top_p)
    for row in range(6):
        one = slice(row, row + 1)
        limit = None if top_p[row] == 1 else top_p[one]
        alone = pick(logits[one], seeds[one], counts[one], temperatures[one], limit)
        assert together[row] == alone[0], row
    assert together[0] == logits[0].argmax()
    assert together[3] == logits[3].argmax()


def test_a_nucleus_wider_than_the_likeliest_tokens_is_found_in_the_whole_vocabulary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(3)
    logits = torch.randn(60, 3000) * torch.linspace(0.1, 9, 60)[:, None]
    top_p = torch.linspace(1.01, 0.1, 60).clamp(max=1)
    found = least_kept(logits, top_p)
    assert bool((found[top_p == 1] == float("-inf")).all())
    monkeypatch.setattr(sampling, "LIKELIEST", ())
    assert torch.equal(least_kept(logits, top_p), found)
    counts = (logits >= found[:, None]).sum(-1)[top_p < 1]
    assert counts.min() < 64
    assert counts.max() > 1024


@pytest.mark.parametrize("chunk", [1, 100, 640, 10_000])
def test_rows_in_chunks_give_the_same_tokens(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    torch.manual_seed(2)
    logits = torch.randn(200, 64)
    arguments = torch.arange(200) * 31, torch.arange(200), torch.where(torch.arange(200) % 5 == 0, 0.0, 1.1)
    for top_p in (None, torch.full((200,), 0.6)):
        whole = pick(logits, *arguments, top_p)
        monkeypatch.setattr(sampling, "ENTRIES", chunk)
        assert torch.equal(pick(logits, *arguments, top_p), whole)
        monkeypatch.undo()


def test_a_large_vocabulary_is_drawn_from_throughout() -> None:
    size, n = 131_072 + 5, 64
    logits = torch.zeros(size)
    seen = picks(logits, n)
    assert min(seen) < 10_000
    assert max(seen) > 120_000
    logits[size - 1] = 40.0
    assert picks(logits, n) == {size - 1: n}
    logits[:] = -40.0
    logits[[100, 70_000, 131_075]] = torch.tensor([1.0, 2.0, 3.0])
    expected = torch.tensor([1.0, 2.0, 3.0]).softmax(-1).tolist()
    many = sum((picks(logits + 0.0, 60, count=i) for i in range(15)), Counter[int]())
    assert set(many) == {100, 70_000, 131_075}
    compact = Counter({i: many[token] for i, token in enumerate((100, 70_000, 131_075))})
    assert chi_square(compact, expected, 900) < 5


def test_half_precision_logits_are_compared_in_full_precision() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0, 2.5]]).expand(500, -1)
    arguments = torch.arange(500) * 13, torch.zeros(500, dtype=torch.int64), torch.ones(500)
    assert torch.equal(pick(logits.to(torch.bfloat16), *arguments), pick(logits, *arguments))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_numbers_are_an_error_and_not_the_first_token(temperature: float) -> None:
    logits = torch.zeros(3, 10)
    logits[1] = float("nan")
    with pytest.raises(ModelError, match="not finite"):
        pick(logits, torch.arange(3), torch.arange(3), torch.full((3,), temperature))


class _Waits(torch.utils._python_dispatch.TorchDispatchMode):
    """Counts what makes the host wait for a GPU: reading a number, looking for what is not zero, copying to it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name()
        if name.startswith(("aten::_local_scalar_dense", "aten::nonzero", "aten::equal")):
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("warm", [False, True])
def test_a_gpu_is_waited_for_once_a_step(warm: bool) -> None:
    numbers = torch.arange(5)
    with _Waits() as waits:
        pick(torch.randn(5, 700), numbers, numbers, torch.tensor([0.0, 1, 1, 0.5, 2]) if warm else None)
    assert waits.seen == ["aten::_local_scalar_dense"], "whether a row has no token: after all of them were copied"
