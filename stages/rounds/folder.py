"""Where the files of a loop's folder lie; examples/loop.sh writes it.

    FOLDER/eval/sft.jsonl, round1.jsonl, ...        answers to the test problems: of M0, and of each round's policy
    FOLDER/validation/sft.jsonl, round1.jsonl, ...  answers to validation problems, with `loop.sh --stop-when`
    FOLDER/r0, r1, ...                              what round 1, 2, ... sampled, labelled, scored and paired
    FOLDER/m1, m2, ...                              the policy that round 1, 2, ... made

Round N is the one that made the policy `roundN`: from the paths in r(N-1) came the model mN. Round 0 is M0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from stages.files.manifest import read_manifest

EVAL, VALIDATION = "eval", "validation"
_POLICY = re.compile(r"round([1-9][0-9]*)\.jsonl")


@dataclass(frozen=True, slots=True)
class LoopFolder:
    """One loop's folder.

    Args:
        place: the folder.
        source: the folder of the loop that made M0 and its results, where it is another one (`loop.sh --sft-from`).
    """

    place: Path
    source: Path | None = None

    def results(self, number: int, kind: str = EVAL) -> Path | None:
        """The complete answers of a round's policy (0: M0), or None.

        Raises:
            DataError: their manifest cannot be read.
        """
        name = f"round{number}.jsonl" if number else "sft.jsonl"
        places = [self.place] if number or self.source is None else [self.place, self.source]
        for place in places:
            file = place / kind / name
            if file.is_file() and read_manifest(str(file)) is not None:
                return file
        return None

    def finished(self) -> list[int]:
        """The numbers of the rounds whose policy was measured, in order."""
        found = (_POLICY.fullmatch(file.name) for file in (self.place / EVAL).glob("*.jsonl"))
        numbers = sorted(int(match[1]) for match in found if match)
        return [number for number in numbers if self.results(number) is not None]

    def made(self, number: int) -> Path:
        """The folder of what a round sampled, labelled and paired."""
        return self.place / f"r{number - 1}"

    def model(self, number: int) -> Path:
        """The folder of the policy that a round made."""
        return self.place / f"m{number}"
