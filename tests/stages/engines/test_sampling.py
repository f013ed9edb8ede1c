"""The counter-based noise against pure-Python arithmetic, and the distribution of what it picks."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
import torch

from evals.errors import ModelError
from stages.engines.hf import sampling
from stages.engines.hf.sampling import exponential, keep_top_p, pick

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


def test_noise_equals_unsigned_arithmetic_of_seed_token_index_and_vocabulary_id() -> None:
    rng = random.Random(1)
    seeds = [0, 1, (1 << 63) - 1, *(rng.getrandbits(63) for _ in range(20))]
    counts = [0, 1, 511, *(rng.randrange(4096) for _ in range(20))]
    ids = [0, 1, 65_535, 65_536, 150_000]
    made = exponential(torch.tensor(seeds), torch.tensor(counts), torch.tensor(ids))
    assert bool((made > 0).all())
    for row, (seed, count) in enumerate(zip(seeds, counts, strict=True)):
        state = splitmix64(seed + (count + 1) * GOLDEN)
        for column, token in enumerate(ids):
            uniform = ((splitmix64(state + (token + 1) * GOLDEN) >> 11) + 0.5) / 2**53
            assert made[row, column].item() == pytest.approx(-math.log1p(-uniform), rel=1e-5)


def test_the_noise_is_finite_where_the_uniform_variate_rounds_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_mix", lambda z: torch.full_like(z, -1))
    assert bool(torch.isfinite(exponential(torch.tensor([3]), torch.tensor([0]), torch.tensor([0, 1]))).all())
    logits = torch.tensor([[0.0, 5.0, 9.0]])
    kept = pick(logits, torch.tensor([3]), torch.tensor([0]), torch.tensor([1.0]), torch.tensor([0.1]))
    assert kept.item() == 2, "the only token kept must win whatever its noise"


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
    kept = torch.isfinite(keep_top_p(logits, torch.full((50,), top_p)))
    for row in range(50):
        shares = sorted(logits[row].double().softmax(-1).tolist(), reverse=True)
        held = int(kept[row].sum())
        assert sum(shares[:held]) >= top_p - 1e-6
        assert sum(shares[: held - 1]) < top_p + 1e-6
        assert logits[row][kept[row]].min() >= logits[row][~kept[row]].max() if held < 40 else True


def test_an_excluded_token_is_never_drawn_and_the_rest_keep_their_proportions() -> None:
    torch.manual_seed(0)
    logits, n = torch.randn(12) * 1.5, 40_000
    kept = torch.isfinite(keep_top_p(logits[None], torch.tensor([0.7])))[0]
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


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_a_vocabulary_in_chunks_gives_the_same_tokens(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    torch.manual_seed(2)
    logits = torch.randn(200, 64)
    arguments = torch.arange(200) * 31, torch.arange(200), torch.where(torch.arange(200) % 5 == 0, 0.0, 1.1)
    for top_p in (None, torch.full((200,), 0.6)):
        whole = pick(logits, *arguments, top_p)
        monkeypatch.setattr(sampling, "CHUNK", chunk)
        assert torch.equal(pick(logits, *arguments, top_p), whole)
        monkeypatch.undo()


def test_a_large_vocabulary_is_drawn_from_beyond_the_first_chunk() -> None:
    size, n = 131_072 + 5, 64
    assert size > 2 * sampling.CHUNK
    logits = torch.zeros(size)
    seen = picks(logits, n)
    assert min(seen) < sampling.CHUNK < max(seen)
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
