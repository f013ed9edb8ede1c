"""A model's chat template, wherever it lies in the folder, reaches nothing, ends, and fails in one line."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest

from evals.errors import DataError, ModelError, UsageError
from stages.models import template_trial
from stages.models.loading import load_tokenizer
from stages.models.naming import read_card
from stages.models.prompts import Prompter
from stages.models.templates import make_prompter
from tests.code_that_runs import Mark
from tests.models import CHAT, build_tokenizer

MESSAGES = [{"role": "user", "content": "hi"}]
PLACES = (
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/default.jinja",
)
WAYS_OUT = (
    "''.__class__.__mro__[1].__subclasses__()",
    "cycler.__init__.__globals__.os.system('touch MARK')",
    "joiner.__init__.__globals__.os.system('touch MARK')",
    "namespace.__init__.__globals__.os.system('touch MARK')",
    "lipsum.__globals__['os'].system('touch MARK')",
    "strftime_now.__globals__['os'].system('touch MARK')",
    "raise_exception.__globals__['__builtins__']['open']('MARK', 'w')",
    "self.__init__.__globals__",
    "(''|attr('__class__')).__mro__",
    "['']|map(attribute='__class__')|map(attribute='__mro__')|list",
    "messages|groupby('__class__.__mro__')",
    "'{0.__class__.__mro__}'.format('')",
    "'{a.__class__.__mro__}'.format_map({'a': ''})",
    "''.__class__['__mro__']",
    "(messages|map('string')).gi_frame.f_globals",
    "messages.append(1)",
    "messages[0].update(content='other')",
    "messages.clear.__self__.clear()",
    "get_flashed_messages.__globals__",
    "caller.__globals__",
    "range.__class__",
)
TAGS = (
    "{% import '/etc/passwd' as x %}{{ x }}", "{% include '/etc/passwd' %}", "{% extends '/etc/passwd' %}",
    "{% from '/etc/passwd' import x %}",
)  # fmt: skip


def prompter(template: str) -> Prompter:
    tokenizer = build_tokenizer()
    tokenizer.chat_template = template
    return Prompter(tokenizer, "chat", None)


@pytest.mark.parametrize("template", [*(f"{{{{ {way} }}}}" for way in WAYS_OUT), *TAGS])
def test_a_template_reaches_nothing(template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.models.prompts.check_template", lambda *_: None)  # transformers' sandbox holds alone
    mark, messages = Mark(tmp_path), [dict(one) for one in MESSAGES]
    try:
        text = prompter(template.replace("MARK", str(mark.file)))._chat(messages)
    except DataError:
        text = ""
    assert not mark.left
    assert messages == MESSAGES
    assert not any(word in text for word in ("<class", "<function", "root:", "object at"))


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "1 s of CPU time"),
        ("{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}", "1 s of CPU time"),
        ("{{ 10**(10**9) }}", "1 s of CPU time|1024 MiB"),
        ("{{ 'x' * 10**11 }}", "1024 MiB of memory"),
        ("{{ ('x' * (3*10**9))|length }}", "1024 MiB of memory"),
        ("{{ '%010000000000d'|format(1) }}", "1024 MiB of memory"),
        ("{{ [1]|batch(10**9, 1)|list|length }}", "1024 MiB of memory"),
        ("{{ 'x' * (5*10**6) }}", "1,048,576 characters"),
    ],
)
def test_a_template_that_does_not_end_or_fills_the_memory_is_refused(
    template: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template_trial, "CPU_S", 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match=said):
        prompter(template).describe()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(10**9) %}{% endfor %}", "{{ 1/0 }}", "{{ 2.0**100000 }}", "{{ messages[9].content }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{% if %}", "{{ 10**5000 }}", "{{ raise_exception('no') }}",
        f"{{{{ {'(' * 5000}1{')' * 5000} }}}}",
    ],
)  # fmt: skip
def test_what_a_template_raises_is_one_line(template: str) -> None:
    with pytest.raises(DataError, match="the model's chat template refuses it"):
        prompter(template).describe()


@pytest.mark.parametrize("place", PLACES)
def test_it_is_so_wherever_the_template_lies(place: str, tmp_path: Path) -> None:
    build_tokenizer(chat=True).save_pretrained(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    odd = "{{ 'x' * 10**11 }}"
    file = tmp_path / place
    file.parent.mkdir(exist_ok=True)
    if place.endswith(".json"):
        config = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps({**config, "chat_template": odd}))
    else:
        file.write_text(odd)
    tokenizer = load_tokenizer(str(tmp_path))
    if place == "chat_template.json" and not tokenizer.chat_template:
        return  # only a processor would read it
    with pytest.raises(ModelError, match="chat template"):
        Prompter(tokenizer, "chat", None).describe()


def test_a_usual_template_is_tried_once() -> None:
    template_trial._tried.cache_clear()
    chat = prompter(f"{CHAT}{{% generation %}}{{{{ [1]|tojson }}}}{{{{ strftime_now('%Y') }}}}{{% endgeneration %}}")
    for _ in range(3):
        assert chat._chat(MESSAGES).startswith("<bos><|user|>\nhi\n")
    assert template_trial._tried.cache_info().misses == 1


@pytest.mark.parametrize(("field", "value"), [("template", 3), ("chat_args", [1]), ("head", "x"), ("kind", {})])
def test_a_card_with_a_field_of_another_type_is_named(tmp_path: Path, field: str, value: Any) -> None:
    (tmp_path / "sipf.json").write_text(json.dumps({field: value}), encoding="utf-8")
    with pytest.raises(DataError, match=f"sipf.json: {field}: must be"):
        read_card(str(tmp_path))


def test_a_card_does_not_choose_a_file_to_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("token 12345678 {question}", encoding="utf-8")
    with pytest.raises(UsageError, match="names no known template"):
        make_prompter(None, {"plain": "Q: {question}"}, "auto", str(secret))
    assert make_prompter(build_tokenizer(), {"plain": "Q: {question}"}, str(secret)).text == secret.read_text()
