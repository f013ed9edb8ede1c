"""Keys and passwords are in no text that is shown or kept."""

from __future__ import annotations

import pytest

from stages.files.secrets import for_a_terminal, without_secrets


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("cannot reach https://me:pass@hub.example/api", "cannot reach https://hub.example/api"),
        ("https://token@hub/x and http://a:b@c", "https://hub/x and http://c"),
        ("owner/model@v1 of https://hub/owner/model@v1", "owner/model@v1 of https://hub/owner/model@v1"),
        ("mail me@example.com", "mail me@example.com"),
    ],
)
def test_an_address_loses_name_and_password(text: str, left: str) -> None:
    assert without_secrets(text) == left


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "SIPF_API_KEY", "OPENAI_API_KEY", "WANDB_API_KEY", "AWS_SECRET", "db_password"]
)
def test_the_value_of_a_variable_that_holds_a_key_is_named_instead(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "sk-1234567890")
    assert without_secrets("refused: Bearer sk-1234567890.") == f"refused: Bearer [{name}]."


def test_a_short_value_may_be_a_word_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORT_KEY", "id")
    assert without_secrets("no id in it") == "no id in it"


def test_a_terminal_gets_nothing_that_it_obeys() -> None:
    assert for_a_terminal("a\x1b]0;x\x07\tb\r\n\x9bc\u202e") == "a\ufffd]0;x\ufffd\tb\ufffd\n\ufffdc\ufffd"
    assert (
        for_a_terminal("caf\u00e9\u00a0\u6c34\u3000\U0001f600\udc80") == "caf\u00e9\u00a0\u6c34\u3000\U0001f600\ufffd"
    )
