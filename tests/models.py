"""Tiny random-weight models of the usual families, with tokenizers of the usual manners, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

Family = Literal["llama", "qwen2", "gemma2"]

SENTENCES = [
    "Question: Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May.",
    "How many clips did Natalia sell altogether in April and May?\nAnswer:\n",
    "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nNatalia sold 48+24 = <<48+24=72>>72 clips altogether.\n",
    "Tom has 40 apples and buys 32 more. How many apples does Tom have?\n40+32=72\n72-5=67\nThe answer is 72",
    "The total cost is $1,234.50, which is 15% more than last year's — ½ of it was café money.",
    "\n\n  def f(x):\n\treturn x",
]
CHAT = (
    "{% if bos_token %}{{ bos_token }}{% endif %}"
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def build_tokenizer(family: Family = "llama", *, bos: bool = True, chat: bool = False) -> Any:
    """A tokenizer in the family's manner: byte-level BPE (llama, qwen2), or spaces as ▁ with byte fallback (gemma2).

    `bos`: whether it puts BOS in front by itself; Qwen2 then has none at all otherwise.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<bos>", "<eos>"]
    if family == "gemma2":
        tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n+|\d"), "isolated")
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        alphabet = sorted(set("".join(SENTENCES).replace(" ", "▁")))
        special += ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    else:
        tokenizer = Tokenizer(models.BPE())
        words = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(words), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
        )
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        if family == "qwen2":
            tokenizer.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", tokenizer.token_to_id("<bos>"))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>" if bos or family != "qwen2" else None,
        eos_token="<eos>",
        pad_token="<pad>" if family == "gemma2" else None,
        chat_template=CHAT if chat else None,
        clean_up_tokenization_spaces=False,
    )


def build_model(
    folder: Path,
    family: Family = "llama",
    *,
    tied: bool = False,
    bos: bool = True,
    chat: bool = False,
    seed: int = 0,
    positions: int = 512,
) -> str:
    """Save a random-weight causal model with its tokenizer; returns the folder's name."""
    import torch

    from stages.models.loading import quiet_libraries

    quiet_libraries()
    from transformers import AutoModelForCausalLM, Gemma2Config, LlamaConfig, Qwen2Config

    tokenizer = build_tokenizer(family, bos=bos, chat=chat)
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": positions,
        "tie_word_embeddings": tied,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": None,
        "initializer_range": 0.2,
    }
    config: Any
    if family == "gemma2":
        config = Gemma2Config(**shape, head_dim=8, sliding_window=64, query_pre_attn_scalar=8)
    else:
        config = (LlamaConfig if family == "llama" else Qwen2Config)(**shape)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
