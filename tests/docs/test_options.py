"""The page of options is what the commands are, and no default of a setting stands a second time."""

from __future__ import annotations

from docs import make_options


def test_the_page_of_options_is_current() -> None:
    assert make_options.PAGE.read_text(encoding="utf-8") == make_options.page(), "run make docs"


def test_every_default_stands_once() -> None:
    assert not make_options.twice()


def test_every_option_says_what_it_does_and_which_settings_declare_it() -> None:
    rows = [row for _, command in make_options.commands() for row in make_options.rows(command)]
    assert not [row.flags for row in rows if not row.help.strip() or not row.declared]
    assert sum(row.declared.startswith("stages.settings.") for row in rows) > len(rows) / 2
