"""How many kernels one decode step starts: counted, so it needs no GPU and no time.

    python benchmarks/launches.py

A GPU takes 5 to 10 microseconds to start a kernel, however little it computes, so a small model's step lasts at least
as long as its kernels take to start. Counted are the operations that torch dispatches and that are more than a view of
a tensor: one kernel each, about. The models have the layers and heads of real ones and random weights a sixteenth as
wide: the width does not change the count. In the column "generate", a step is what transformers' own loop does for a
token: a forward pass with a growing cache, and a draw at temperature 1. "Compiled" is the leaner step with `--compile`,
counted in the code that torch's compiler writes for a CPU; its code for a GPU may join other operations. A CUDA graph
starts them at once, except the head's.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch._inductor.utils import run_and_get_code
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM, DynamicCache, GemmaConfig, LlamaConfig, Qwen2Config

from stages.engines.hf.compiled import CompiledStep
from stages.engines.hf.sampling import pick
from stages.engines.hf.slots import SlotCache
from stages.engines.hf.steps import JoinedStep, ModelStep

ROWS, COLUMNS = 4, 32
SMALL = {"vocab_size": 512, "max_position_embeddings": 128, "attn_implementation": "sdpa"}
MODELS = {
    "Gemma-2B": GemmaConfig(
        num_hidden_layers=18, num_attention_heads=8, num_key_value_heads=1, head_dim=16, hidden_size=128,
        intermediate_size=1024, **SMALL,
    ),
    "Qwen2.5-0.5B": Qwen2Config(
        num_hidden_layers=24, num_attention_heads=14, num_key_value_heads=2, hidden_size=56, intermediate_size=304,
        tie_word_embeddings=True, **SMALL,
    ),
    "SmolLM2-135M": LlamaConfig(
        num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3, hidden_size=36, intermediate_size=96,
        tie_word_embeddings=True, **SMALL,
    ),
}  # fmt: skip


class Launches(TorchDispatchMode):
    """Counts operations that compute or copy something."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        returns = operation._schema.returns
        is_view = bool(returns) and all(one.alias_info and not one.alias_info.is_write for one in returns)
        is_empty = operation.overloadpacket in (torch.ops.aten.empty, torch.ops.aten.empty_like)
        self.count += not (is_view or is_empty)
        return operation(*args, **(kwargs or {}))


def counted(work: Any, *given: Any) -> int:
    """The operations of a call."""
    with torch.inference_mode(), Launches() as launches:
        work(*given)
    return launches.count


def compiled(model: Any, *given: Any) -> int:
    """The operations of a compiled step: those that one layer's code calls, for each layer, and those around them."""
    step = CompiledStep(model)
    _, (code, *others) = run_and_get_code(lambda: step(*given))
    assert not others, "one layer is compiled, and serves for all"
    call = code[code.index("def call(") :]
    each = len(re.findall(r"^ +(?:\w+ = )?(?:cpp_fused\w*|extern_kernels\.\w+|torch\.ops\.\S+?)\(", call, re.MULTILINE))
    step.compute_layer = lambda layer, hidden, *rest: hidden
    return each * len(step.layers) + counted(step, *given)


def generated(model: Any, ids: torch.Tensor) -> int:
    """The operations of one more step of `generate`, the second one: the first may set up something."""
    cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        model(ids, past_key_values=cache, use_cache=True)

    def step() -> None:
        logits = model(ids[:, -1:], past_key_values=cache, use_cache=True).logits[:, -1].float()
        torch.multinomial(logits.softmax(-1), 1)

    return [counted(step) for _ in range(2)][-1]


def main() -> None:
    """Print the table."""
    print("| model | `generate` | model's own step | leaner step | compiled | drawing | both / `generate` |")
    print("|---|---|---|---|---|---|---|")
    for name, config in MODELS.items():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
        ids = torch.randint(0, 512, (ROWS, COLUMNS - 1))
        numbers, warm = torch.arange(ROWS), torch.ones(ROWS)
        last, position = ids[:, -1], torch.full((ROWS,), COLUMNS - 2)

        found = {"generate": generated(model, ids)}
        with torch.inference_mode():
            like = model(ids, use_cache=True).past_key_values
            cache = SlotCache(config.num_hidden_layers)
            cache.allocate(like, ROWS, 2 * COLUMNS)
        for kind in (ModelStep, JoinedStep):
            step = kind(model)
            with torch.inference_mode():
                logits = step(last, position, COLUMNS, cache)
            found[kind.__name__] = counted(step, last, position, COLUMNS, cache)
        with torch.inference_mode():
            found["compiled"] = compiled(model, last, position, COLUMNS, cache)
        found["drawing"] = counted(pick, logits, numbers, numbers, warm)
        ratio = (found["compiled"] + found["drawing"]) / found["generate"]
        print(f"| {name} | {' | '.join(map(str, found.values()))} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
