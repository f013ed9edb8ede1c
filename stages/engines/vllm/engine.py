"""The `vllm` engine: vLLM in this process, one request a draw, each with its own seed.

    sipf simulate paths.jsonl --engine vllm --model runs/m1 --tensor-parallel 2

vLLM computes one step and lets the strategies run between two steps, all on one thread, as the hf engine does. Requests
of one problem come close together, so their common prefix is computed once (prefix caching). Prompts go in and text
comes out by the same tokenizer and rules as in the hf engine: greedy fp32 text is the same, byte for byte. A seeded
draw is vLLM's own, not hf's, and may depend on what runs beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from evals.errors import ModelError
from evals.records import Problem
from stages.engines.base import Completion, Draw, Request
from stages.engines.draws import Answer, DrawEngine
from stages.engines.stops import TextReader, end_ids
from stages.engines.vllm.start import CPU_ROWS, GPU_ROWS, VLLMStart, prepared, start, stop
from stages.models.loading import load_errors, load_tokenizer
from stages.models.naming import policy_card
from stages.models.prompts import Prompter
from stages.models.templates import Prompters, chat_arguments
from stages.settings.model import ModelSettings

BACKLOG = 2
"""Draws under way, as a multiple of the rows, up to which problems are admitted."""
CPU_SPARE, GPU_SPARE = 16, 128
"""Rows below which a step costs about the same."""


class VLLMEngine(DrawEngine):
    """Writes text with vLLM.

    Args:
        name: as for `stages.models.naming.resolve`.
        settings: how it runs.
        template: as for `stages.models.templates.make_prompter`.
        chat_arg: as for `stages.models.templates.chat_arguments`.
        merge: an adapter is merged into its base first.

    Raises:
        ModelError: vLLM is missing or cannot load the model.
    """

    def __init__(
        self, name: str, settings: VLLMStart, template: str = ModelSettings.template, chat_arg: Sequence[str] = (),
        *, merge: bool = False,
    ) -> None:  # fmt: skip
        on_cpu = settings.device == "cpu"
        rows = settings.rows or (CPU_ROWS if on_cpu else GPU_ROWS)
        super().__init__(rows * BACKLOG, min(rows, CPU_SPARE if on_cpu else GPU_SPARE))
        card = policy_card(name)
        self.tokenizer = load_tokenizer(name, settings.trust_remote_code)
        self._prompters = Prompters(self.tokenizer, template, card.get("template"), chat_arguments(chat_arg, card))
        with prepared(
            name, auto_class="AutoModelForCausalLM", dtype=settings.dtype,
            trust_remote_code=settings.trust_remote_code, merge=merge,
        ) as model:  # fmt: skip
            self.llm: Any = start(model, settings)
            ends = end_ids(_generation_config(model.source, settings.trust_remote_code), self.tokenizer)
            self._lora = _lora(model.adapter)
        config = self.llm.model_config
        self.max_length = int(config.max_model_len)
        self.reader = TextReader(self.tokenizer, ends, config.get_vocab_size())
        self._ends = sorted(ends)
        self._number = 0
        self._draws: dict[str, tuple[asyncio.Future[Any], list[int], Request, Draw]] = {}
        """What vLLM works at, by request id: the draw, or a likelihood (without request and draw)."""
        self._likelihoods: dict[str, tuple[asyncio.Future[Any], list[int]]] = {}
        self._task: asyncio.Task[None] | None = None

    def prompter(self, problem: Problem) -> Prompter:
        """See `DrawEngine.prompter`."""
        return self._prompters.of(problem)

    def prepare(self, request: Request) -> list[int]:
        """The prompt's ids, those of the prefix included."""
        return self.prompter(request.problem).begun(request.problem, request.prefix).ids

    def begin(self, prompt: list[int], request: Request, draw: Draw, answer: Answer) -> None:
        """See `DrawEngine.begin`. A prompt that fills the model's positions is answered with an empty completion."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        room = self.max_length - len(prompt)
        if room < 1:
            self.usage.completions += 1
            answer.set_result(Completion("", 0, "length", draw.seed))
            return
        params = SamplingParams(
            temperature=draw.temperature,
            top_p=request.top_p,
            max_tokens=min(request.max_tokens, room),
            seed=draw.seed,
            stop=list(request.stop),
            stop_token_ids=self._ends,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        self._draws[self._submit(prompt, params, answer)] = (answer, prompt, request, draw)

    def _submit(self, prompt: list[int], params: Any, answer: asyncio.Future[Any]) -> str:
        self._number += 1
        asked = str(self._number)
        identity: str = self.llm.add_request(asked, {"prompt_token_ids": prompt}, params, lora_request=self._lora)
        answer.add_done_callback(lambda future: self._given_up(asked, identity) if future.cancelled() else None)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
        return asked

    def _given_up(self, asked: str, identity: str) -> None:
        """A stream was closed: what its draw had written so far is lost."""
        self._likelihoods.pop(asked, None)
        if self._draws.pop(asked, None) is None:
            return
        state = self.llm.output_processor.request_states.get(identity)
        if state is not None and state.detokenizer is not None:
            self.usage.cancelled_tokens += state.detokenizer.num_output_tokens()
        self.llm.abort_request([asked])

    async def _run(self) -> None:
        try:
            while self._draws or self._likelihoods:
                for output in self.llm.step():
                    self._finish(output)
                await asyncio.sleep(0)
        except Exception as error:  # whatever it was, vLLM does not go on after it
            text = str(error).strip() or type(error).__name__
            stopped = ModelError(f"vLLM stopped: {text.splitlines()[0]}", "The same command goes on from here.")
            stopped.__cause__ = error
            self.fail(stopped)

    def _finish(self, output: Any) -> None:
        self.usage.prompt_tokens += len(output.prompt_token_ids) - (output.num_cached_tokens or 0)
        if output.request_id in self._likelihoods:
            answer, ids = self._likelihoods.pop(output.request_id)
            rows = zip(ids[1:], output.prompt_logprobs[1:], strict=True)
            if not answer.cancelled():
                answer.set_result([float(row[token].logprob) for token, row in rows])
        elif output.request_id in self._draws:
            answer, prompt, request, draw = self._draws.pop(output.request_id)
            if answer.cancelled():  # in this very turn of the loop, so that `_given_up` comes after this
                self.usage.cancelled_tokens += len(output.outputs[0].token_ids)
            else:
                answer.set_result(self._completion(output.outputs[0], prompt, request, draw))

    def _completion(self, made: Any, prompt: list[int], request: Request, draw: Draw) -> Completion:
        written = list(made.token_ids)
        ended = bool(written) and bool(self.reader.is_end[written[-1]])
        text, stopped = self.reader.read(prompt, written[:-1] if ended else written, request.stop)
        finish = "stop" if ended or stopped or made.finish_reason == "stop" else "length"
        self.usage.completions += 1
        self.usage.tokens += len(written)
        return Completion(text, len(written), "stop" if finish == "stop" else "length", draw.seed)

    async def loglikelihood(self, problem: Problem, continuations: Sequence[str]) -> list[float]:
        """See `Engine.loglikelihood`. The continuations of a problem are computed together."""
        encoded = [self.prompter(problem).encode(problem, text, end=False) for text in continuations]
        if any(not item.completion_ids for item in encoded):
            raise ModelError("a continuation without a token has no likelihood")
        if max(len(item.ids) for item in encoded) >= self.max_length:
            raise ModelError(f"{problem.id}: prompt and continuation do not fit into {self.max_length} tokens")
        found = await self.token_logprobs([item.ids for item in encoded])
        return [sum(tokens[len(item.prompt_ids) - 1 :]) for item, tokens in zip(encoded, found, strict=True)]

    async def token_logprobs(self, prompts: Sequence[list[int]]) -> list[list[float]]:
        """The log-probability (nats) of each prompt's tokens but the first; the prompts are computed together."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        answers = []
        for ids in prompts:
            params = SamplingParams(
                temperature=0.0, max_tokens=1, prompt_logprobs=0, output_kind=RequestOutputKind.FINAL_ONLY
            )
            answer = self.expect()
            self._likelihoods[self._submit(ids, params, answer)] = (answer, ids)
            answers.append(answer)
        return list(await asyncio.gather(*answers))

    def written(self) -> int:
        """Tokens written so far, those of unfinished draws included."""
        readers = (state.detokenizer for state in self.llm.output_processor.request_states.values())
        unfinished = sum(int(reader.num_output_tokens()) for reader in readers if reader is not None)
        return self.usage.tokens + self.usage.cancelled_tokens + unfinished

    async def close(self) -> None:
        """Stop vLLM and free what it holds."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await super().close()
        stop(self.llm)


def _lora(adapter: str | None) -> Any:
    if adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, adapter)


def _generation_config(source: str, trust_remote_code: bool) -> Any:
    from transformers import AutoConfig, GenerationConfig

    with load_errors(source):
        try:
            return GenerationConfig.from_pretrained(source)
        except OSError:  # a folder without one: transformers makes it from the model's configuration
            config = AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code)
            return GenerationConfig.from_model_config(config)
