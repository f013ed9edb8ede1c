"""Batches of pairs: a beginning that both sides share is computed once, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.training.odds_ratio import METRICS, OddsRatioLoss, count_targets
from stages.training.pair_batches import PairCollator, can_share, common_length, sharing_collator
from stages.training.token_scores import score_tokens
from tests.architectures import CONFIGS, REFUSED, WINDOW, build
from tests.models import build_model

NOT_SHARED = {"Qwen3.5", "Granite-4 (hybrid)", "LFM2", "Mamba", "Bloom"}
"""Recurrent layers, and positions that Bloom counts in columns."""


def row(prompt: list[int], chosen: list[int], rejected: list[int]) -> dict[str, list[int]]:
    made = {"prompt_input_ids": prompt}
    for side, own in (("chosen", chosen), ("rejected", rejected)):
        made[f"{side}_input_ids"] = prompt + own
        made[f"{side}_labels"] = [-100] * len(prompt) + own
    return made


ROWS = [row([5, 6, 7], [8, 9, 2], [8, 10, 11, 2]), row([5, 9, 9, 4], [7, 2], [3] * (WINDOW - 6))]


def test_both_sides_stand_behind_what_they_share() -> None:
    batch = PairCollator(0, "all", shared=True)([row([5, 6, 7], [8, 9, 2], [8, 10, 2]), row([5], [6, 2], [7])])
    #                   both       chosen    rejected
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 2, 8, 10, 2], [5, 6, 2, 5, 7, 0, 0, 0, 0]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4, 5, 3, 4, 5], [0, 1, 2, 0, 1, 0, 0, 0, 0]]
    tokens = {name: [line.nonzero()[:, 0].tolist() for line in batch[name]] for name in ("chosen", "rejected", "nll")}
    assert tokens == {"chosen": [[3, 4, 5], [1, 2]], "rejected": [[3, 7, 8], [4]], "nll": [[1, 2, 3, 4, 5], [1, 2]]}
    seen = [[line.nonzero()[:, 0].tolist() for line in rows[0]] for rows in batch["attention_mask"]]
    assert seen[0][5:] == [[0, 1, 2, 3, 4, 5], [0, 1, 2, 6], [0, 1, 2, 6, 7], [0, 1, 2, 6, 7, 8]]
    assert seen[1][:5] == [[0], [0, 1], [0, 1, 2], [3], [3, 4]]
    assert all(seen[1]), "padding sees something too: a softmax over nothing is no number"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(build_model(tmp_path_factory.mktemp("m"), "llama")).double()
    score_tokens(loaded, ("mean_logits",))
    return loaded


def losses(model: Any, rows: list[dict[str, list[int]]], collator: PairCollator) -> tuple[torch.Tensor, list[Any]]:
    """Loss and figures, and the gradients."""
    model.zero_grad()
    batch = collator(rows)
    loss, metrics = OddsRatioLoss(0.5, 1.0, 0.0)(model, batch, count_targets([batch]))
    loss.backward()
    metrics[METRICS.index("rewards/accuracies")] = 0  # of two equal means either may be rounded up
    gradients = [weights.grad.clone() for weights in model.parameters() if weights.grad is not None]
    return torch.cat([loss.detach()[None], metrics]), gradients


tokens = st.lists(st.integers(3, 6), min_size=1, max_size=6)


@given(
    st.lists(st.tuples(st.lists(st.integers(3, 6), max_size=4), tokens, tokens), min_size=1, max_size=3),
    st.sampled_from(["all", "completion"]),
)
def test_nothing_changes_whatever_is_shared(model: Any, texts: list[Any], nll: Any) -> None:
    # One side may begin with the other, and prompts may be empty: then a first token is learnt on neither side.
    rows = [row(*text) for text in texts]
    apart, joined = (losses(model, rows, PairCollator(0, nll, shared)) for shared in (False, True))
    assert torch.allclose(apart[0], joined[0], atol=1e-6, equal_nan=True)
    if torch.isfinite(apart[0]).all():
        for one, two in zip(apart[1], joined[1], strict=True):
            assert torch.allclose(one, two, atol=1e-6)


@pytest.mark.parametrize("name", [*CONFIGS, *REFUSED])
def test_an_architecture_shares_if_it_computes_the_same(tmp_path: Path, name: str) -> None:
    from transformers import AutoModelForCausalLM

    from stages.models.attention import use_whole_attention

    policy = AutoModelForCausalLM.from_pretrained(build(tmp_path, name))
    use_whole_attention(policy)
    collator = sharing_collator(policy, ROWS, 0, "completion")
    assert collator.shared == (name not in NOT_SHARED)
    if not collator.shared:
        return
    score_tokens(policy, ("mean_logits",))
    policy.eval()
    apart, joined = (losses(policy, ROWS, replace(collator, shared=shared)) for shared in (False, True))
    assert torch.allclose(apart[0], joined[0], atol=1e-4)
    for one, two in zip(apart[1], joined[1], strict=True):
        assert torch.allclose(one, two, atol=1e-4)


def test_a_text_longer_than_a_window_is_not_shared(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    policy = AutoModelForCausalLM.from_pretrained(build(tmp_path, "Mistral"))
    assert can_share(policy, ROWS, False)
    assert not can_share(policy, [*ROWS, row([5], [6], [7] * WINDOW)], False)


def test_common_length() -> None:
    assert [common_length(*pair) for pair in (([1, 2, 3], [1, 2, 4]), ([1], [1, 2]), ([], [1]), ([1], [2]))] == [
        2, 1, 0, 0,
    ]  # fmt: skip


@given(tokens, tokens, tokens, st.booleans())
def test_the_length_of_a_line_is_known_without_making_it(prompt: Any, one: Any, two: Any, shared: bool) -> None:
    pair = row(prompt, one, two)
    collator = PairCollator(0, "completion", shared)
    lengths = collator.line_lengths(pair)
    assert max(lengths) == collator([pair])["input_ids"].shape[1]
    assert len(lengths) == len(collator([pair])["input_ids"])
