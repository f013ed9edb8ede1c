"""`sipf merge`: the shards of one run become one file."""

from __future__ import annotations

from sipf_cli.console import emit
from sipf_cli.generated import new_app
from sipf_cli.options import ConsoleOptions, Inputs, Output, Overwrite

app = new_app()


@app.command()
def merge(sources: Inputs, output: Output, console: ConsoleOptions, overwrite: Overwrite = False) -> None:
    """Join the shards of one run into one file.

    Their manifests must show that the shards are complete and do not overlap; the lines come out in input order.

    \b
    Example:
      sipf data chain --split test -n 8 -o test.jsonl
      sipf sample test.jsonl --model chain-base -n 2 --shard 0/2 -o a.jsonl
      sipf sample test.jsonl --model chain-base -n 2 --shard 1/2 -o b.jsonl
      sipf merge a.jsonl b.jsonl -o all.jsonl
    """
    from stages.merge import merge as join

    emit(join(sources, output, overwrite=overwrite), json=console.json, data_on_stdout=str(output) == "-")
