"""Reward models on any backbone: two classes at every token, with transformers' own class or a head of this toolkit.

Where transformers has a token-classification class for the architecture, a reward model is one: vLLM and others load
it. Elsewhere it is the architecture's `AutoModel` with Linear(hidden, 2) beside it, in the same safetensors under
"score". The paper puts a sigmoid between the two; whether it is there stands in the folder's card:

    {"kind": "prm", "labels": "hard", "head": {"class": "transformers", "sigmoid": false}, ...}
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from evals.errors import ModelError, UsageError
from stages.models.architectures import read_config
from stages.models.loading import load_weights
from stages.models.naming import is_adapter, read_card

HEADS = ("score", "classifier")
"""What the head is called in transformers' classes."""
CLASSES = 2
AUTO_CLASS = "AutoModelForTokenClassification"
THEIRS, OURS = "transformers", "sipf"


def describe_head(name: str, sigmoid: bool, trust_remote_code: bool = False) -> dict[str, Any]:
    """How the head of a reward model on this backbone is built, for its card.

    Raises:
        ModelError: there can be none.
        UsageError: it is a reward model already, with the sigmoid where there shall be none or the other way round.
    """
    config = read_config(name, trust_remote_code)
    _check_backbone(name, config)
    head = {"class": THEIRS if _theirs(config) else OURS, "sigmoid": sigmoid}
    card = read_card(name)
    if card.get("kind") == "prm" and has_sigmoid(card) != sigmoid:
        has, advice = ("a", "Add") if has_sigmoid(card) else ("no", "Leave out")
        raise UsageError(f"{name} was trained with {has} sigmoid before its head", f"{advice} --sigmoid-head.")
    return head


def has_sigmoid(card: Mapping[str, Any]) -> bool:
    """Whether the reward model's head sees sigmoid(hidden state); cards of earlier releases say nothing, and it does
    not."""
    return bool(card.get("head", {}).get("sigmoid", False))


def vllm_lacks(card: Mapping[str, Any]) -> str:
    """What of a reward model vLLM cannot compute; "" where it can."""
    if card.get("head", {}).get("class", THEIRS) != THEIRS:
        return "a head that transformers has no class for"
    return "a sigmoid before its head" if has_sigmoid(card) else ""


def load_reward_model(
    name: str,
    device: str,
    dtype: str,
    *,
    sigmoid: bool,
    new_head: bool,
    load_in_4bit: bool = False,
    trust_remote_code: bool = False,
    trainable: bool = False,
) -> Any:
    """A model whose output's `logits` are (batch, tokens, 2); class 1 is right.

    Args:
        new_head: the folder may have none: it then starts random. It is one to be trained, in float32 whatever the
            backbone is in.
        sigmoid: put a sigmoid before the head.
        trainable: see `load_weights`.

    Raises:
        ModelError: see `load_weights`; or there is no such model on this backbone.
    """
    config = read_config(name, trust_remote_code)
    _check_backbone(name, config)
    theirs = _theirs(config)
    # transformers would put 10 % dropout before the head of a model that never had any.
    more = {"classifier_dropout": 0.0} if theirs and new_head else {}
    return load_weights(
        name, AUTO_CLASS if theirs else _own_class(config), device, dtype,
        load_in_4bit=load_in_4bit, trust_remote_code=trust_remote_code, trainable=trainable,
        # An adapter brings the head along; its base has none.
        fresh=HEADS if new_head or is_adapter(name) else (),
        prepare=partial(_prepare_head, sigmoid=sigmoid, trained=new_head), num_labels=CLASSES, **more,
    )  # fmt: skip


def _theirs(config: Any) -> bool:
    """Whether transformers, or code that comes with the model, has a token-classification class for it."""
    import transformers

    remote = AUTO_CLASS in (getattr(config, "auto_map", None) or {})
    return remote or type(config) in transformers.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING


def _check_backbone(name: str, config: Any) -> None:
    """Refuse an encoder and decoder, and what transformers has no class for.

    Raises:
        ModelError: it is one of these.
    """
    import transformers

    if config.is_encoder_decoder or not (_theirs(config) or type(config) in transformers.MODEL_MAPPING):
        raise ModelError(
            f"there is no reward model on {name} ({config.model_type}): transformers knows no decoder of its kind",
            "Give train-prm another --model; it need not be the policy.",
        )


def _own_class(config: Any) -> Any:
    """A token-classification class on the architecture's bare model, in the manner of transformers' own."""
    import torch
    from transformers import MODEL_MAPPING, AutoModel, PreTrainedModel
    from transformers.modeling_outputs import TokenClassifierOutput

    backbone: Any = MODEL_MAPPING[type(config)]
    family = [kind for kind in backbone.__mro__ if issubclass(kind, PreTrainedModel) and kind is not PreTrainedModel]
    base: Any = family[-1]  # the architecture's own PreTrainedModel, which knows how its weights are named
    prefix = base.base_model_prefix or "model"

    class WithHead(base):  # type: ignore[misc]  # found as the program runs
        base_model_prefix = prefix

        def __init__(self, config: Any) -> None:
            PreTrainedModel.__init__(self, config)
            bare = AutoModel.from_config(config)  # type: ignore[no-untyped-call]  # transformers leaves it untyped
            setattr(self, prefix, bare)
            self.score = torch.nn.Linear(config.get_text_config().hidden_size, CLASSES)
            self.post_init()

        def forward(self, input_ids: Any = None, attention_mask: Any = None, labels: Any = None, **more: Any) -> Any:
            told = {key: value for key, value in more.items() if value is not None and key != "return_dict"}
            bare = getattr(self, prefix)
            hidden = bare(input_ids=input_ids, attention_mask=attention_mask, **told).last_hidden_state
            return TokenClassifierOutput(logits=self.score(hidden))

    WithHead.__name__ = WithHead.__qualname__ = f"{backbone.__name__.removesuffix('Model')}ForTokenClassification"
    return WithHead


def _prepare_head(model: Any, *, sigmoid: bool, trained: bool) -> None:
    """Let the head see sigmoid(hidden state), and keep it in float32 where it is to be trained."""
    head = next(getattr(model, head) for head in HEADS if hasattr(model, head))
    if trained:
        head.float()
    if not sigmoid:
        return
    head.register_forward_pre_hook(_squash)  # copied with the head where an adapter keeps one of its own


def _squash(_: Any, seen: tuple[Any, ...]) -> tuple[Any, ...]:
    return (seen[0].sigmoid(),)
