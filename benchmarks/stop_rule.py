"""What the stop rule of `sipf health` sees: how often it ends a loop, for a true gain of a round.

    python benchmarks/stop_rule.py --n 1000 --discordant 0.15

Of n problems a share is answered right by only one of two rounds (`discordant`; two rounds of the demo differ on 10 to
14 % of their problems). The number of such problems is binomial, and so is, given that, how many of them the later
round has right. The chances are sums over both, so nothing is drawn.
"""

from __future__ import annotations

import argparse
import math

from evals.metrics import mcnemar
from stages.rounds.signs import falling, plateau
from stages.settings.health import SignSettings

GAINS = (-0.05, -0.04, -0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03, 0.04, 0.05)
NEGLIGIBLE = 1e-9


def binomial(n: int, p: float) -> list[float]:
    """The chance of each count from 0 to n."""
    log = [
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p)
        for k in range(n + 1)
    ]
    return [math.exp(value) for value in log]


def chances(n: int, discordant: float, gain: float, limits: SignSettings) -> tuple[float, float]:
    """The chances of the signs plateau and falling accuracy for one round with a true gain."""
    better = (1 + gain / discordant) / 2
    flat = fell = 0.0
    for differing, chance in enumerate(binomial(n, discordant)):
        if chance < NEGLIGIBLE:
            continue
        for won, given in enumerate(binomial(differing, better) if differing else [1.0]):
            if chance * given < NEGLIGIBLE:
                continue
            measured, p = (2 * won - differing) / n, mcnemar(differing - won, won)
            flat += chance * given * plateau([(measured, p)], limits)
            fell += chance * given * falling(measured, p, limits)
    return flat, fell


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=1000, help="Problems that the rounds are compared on.")
    parser.add_argument("--discordant", type=float, default=0.15, help="Share that only one of the two has right.")
    asked = parser.parse_args()
    print("| true gain of the round, points | plateau | falling accuracy |\n|---|---|---|")
    for gain in GAINS:
        flat, fell = chances(asked.n, asked.discordant, gain, SignSettings())
        print(f"| {100 * gain:+.0f} | {flat:.0%} | {fell:.0%} |")


if __name__ == "__main__":
    main()
