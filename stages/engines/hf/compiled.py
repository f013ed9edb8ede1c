"""The leaner decode step, compiled: several operations in one kernel, and on a GPU all kernels of a step in one graph.

    step = CompiledStep(model)
    logits = step(last, position, longest, cache)       # as JoinedStep's

A GPU takes 5 to 10 microseconds to start a kernel, and a step of a small model has hundreds. `torch.compile` joins what
stands between a layer's matrix products; it compiles one layer, and the others use the same code. On CUDA a whole step
is then recorded as a graph, which starts all of its kernels at once. A graph holds one shape, so rows and columns are
padded to a few sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch._dynamo.exc import TorchDynamoException
from torch.nn import functional

from evals.errors import ModelError, UsageError
from stages.engines.hf.slots import SlotCache
from stages.engines.hf.steps import JOINED, JoinedStep, can_be_joined

FEWEST_ROWS = 8
"""Rows are padded to powers of two from here on: 512 rows have seven sizes."""
COLUMN_BLOCK = 128
"""Columns are padded to multiples of this."""
ADVICE = "Leave out --compile."

Run = Callable[[], torch.Tensor]
Record = Callable[[Run], tuple[Callable[[], object], torch.Tensor]]


class _Graph(NamedTuple):
    """A recorded step: its inputs, what runs it, and its result. It ends before the head: each graph keeps its result,
    and logits are large."""

    last: torch.Tensor
    position: torch.Tensor
    replay: Callable[[], object]
    hidden: torch.Tensor


class CompiledStep(JoinedStep):
    """`JoinedStep`, compiled.

    Args:
        backend: what compiles a layer; tests take one that needs no C++ compiler.
        record: runs a step and records it; returns a function that runs it again, and the step's result. By default
            steps are recorded as CUDA graphs on CUDA, and not recorded elsewhere.

    Raises:
        ModelError: a model that `JoinedStep` does not compute.
    """

    def __init__(self, model: Any, backend: str = "inductor", record: Record | None = None) -> None:
        if not can_be_joined(model):
            kind = type(model).__name__.removesuffix("ForCausalLM")
            raise ModelError(
                f"--compile cannot be used with this {kind} model: it is for {', '.join(JOINED[:-1])} and {JOINED[-1]}"
                " models without sliding windows, adapters, 4-bit weights or rotary positions that depend on length",
                ADVICE,
            )
        super().__init__(model)
        self.compiled: Callable[..., torch.Tensor] = torch.compile(self.compute_layer, fullgraph=True, backend=backend)
        self.compute_layer = self._compute_layer
        self.record = CudaGraphs(model.device) if record is None and model.device.type == "cuda" else record
        self.graphs: dict[tuple[int, int], _Graph] = {}
        self.cache: SlotCache | None = None
        """Whose slots the graphs read and write."""

    def __call__(self, last: torch.Tensor, position: torch.Tensor, longest: int, cache: SlotCache) -> torch.Tensor:
        """See `Step`. The rows that are added write into column 0 of free slots, which are never read."""
        live = len(last)
        rows, columns = padded(live, longest, cache)
        last, position = (functional.pad(each, (0, rows - live)) for each in (last, position))
        compute = self.hidden if self.record is None else self._replayed
        hidden = compute(last, position, columns, cache)
        logits: torch.Tensor = self.head(hidden[:live])
        return logits

    def _replayed(self, last: torch.Tensor, position: torch.Tensor, columns: int, cache: SlotCache) -> torch.Tensor:
        """The step from the graph of its size, which is recorded where there is none."""
        assert self.record is not None
        if cache is not self.cache:
            self.graphs.clear()
            self.cache, cache.before_move = cache, self.graphs.clear  # a graph knows where the slots are
        size = len(last), columns
        graph = self.graphs.get(size)
        if graph is None:
            # From now on these very tensors are its inputs.
            graph = _Graph(last, position, *self.record(lambda: self.hidden(last, position, columns, cache)))
            self.graphs[size] = graph
        else:
            graph.last.copy_(last)
            graph.position.copy_(position)
            graph.replay()
        return graph.hidden

    def _compute_layer(self, layer: Any, *tensors: torch.Tensor) -> torch.Tensor:
        """One layer, by code that is compiled once for all layers, rows and columns."""
        hidden, cos, sin, mask, place, keys, values = tensors
        for tensor in (hidden, cos, sin, mask, place, keys, values):
            torch._dynamo.maybe_mark_dynamic(tensor, 0)
        for tensor in (mask, keys, values):
            torch._dynamo.maybe_mark_dynamic(tensor, 2)
        try:
            return self.compiled(layer, *tensors)
        except torch.OutOfMemoryError:
            raise
        except (TorchDynamoException, OSError) as error:
            if lacks := _lacks_compiler(error):
                raise UsageError(f"--compile needs {lacks}", f"Install it. {ADVICE}") from error
            told = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise ModelError(f"the decode step cannot be compiled: {told}", ADVICE) from error


def padded(live: int, longest: int, cache: SlotCache) -> tuple[int, int]:
    """The rows and columns that a step of `live` rows and `longest` columns is computed with."""
    rows = max(FEWEST_ROWS, 1 << (live - 1).bit_length())
    columns = -(-longest // COLUMN_BLOCK) * COLUMN_BLOCK
    return min(rows, cache.rows), min(columns, cache.columns)


class CudaGraphs:
    """Records steps as CUDA graphs. They share their memory: the result of one is read before the next one runs."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        with torch.cuda.device(device):
            self.stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            self.pool = torch.cuda.graph_pool_handle()

    def __call__(self, run: Run) -> tuple[Callable[[], object], torch.Tensor]:
        """Run a step and record it. The first run compiles, which cannot be recorded."""
        with torch.cuda.device(self.device), torch.cuda.stream(torch.cuda.current_stream()):
            run()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
                hidden = run()
            graph.replay()  # recording computes nothing

        def replay() -> None:
            with torch.cuda.device(self.device):
                graph.replay()

        return replay, hidden


def _lacks_compiler(error: BaseException) -> str:
    """What the compiler itself lacks, if it says that it lacks something."""
    from torch._inductor.exc import InvalidCxxCompiler, TritonMissing

    for each in (error, getattr(error, "inner_exception", None), error.__cause__):
        if isinstance(each, InvalidCxxCompiler):
            return "a C++ compiler, such as g++"
        if isinstance(each, TritonMissing):
            return "Triton, which comes with torch's CUDA build"
    return ""
