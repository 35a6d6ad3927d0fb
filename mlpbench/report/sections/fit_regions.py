"""Where along a factor networks under- and overfit, as far as the numbers show it."""

from __future__ import annotations

import pandas as pd

from mlpbench.evidence.estimates.series import MEASURES, Errors
from mlpbench.evidence.frames import records
from mlpbench.report.language.words import listing
from mlpbench.report.sections.section import Given, worse_than

# More of these is a network that can fit more, or that is fitted for longer. Fewer examples or less regularisation make
# overfitting likelier too, but there the error rises for other reasons as well.
CAPACITIES = ("width", "depth", "features", "epochs", "steps")
FEWEST_LEVELS = 3
MOST_NAMED = 6
UNDER, OVER = "underfits", "overfits"


def regions(given: Given, found: Errors) -> pd.DataFrame:
    """Return the levels at which networks under- or overfit: `measure`, `side` (underfits, overfits), `x` and `best`.

    Along a capacity (`CAPACITIES`) of three levels or more that is the only factor, for error and for loss apart: a level
    below the one with the lowest mean test error underfits where test and train error are both above those at the best
    level; a level above it overfits where test error is, and train error is not: a network that can no longer be trained
    does not overfit. Above is a 95% interval of the paired difference above zero; intervals are not corrected for their number.
    """
    columns = ["measure", "side", "x", "best"]
    shown = found.estimates
    if found.factor not in CAPACITIES or shown["series"].nunique() != 1:
        return pd.DataFrame(columns=columns)
    rows = []
    for measure, name in MEASURES.items():
        test = shown[(shown["measure"] == measure) & (shown["split"] == "test")].sort_values("x")
        if len(test) < FEWEST_LEVELS:
            continue
        best = min(records(test), key=lambda r: float(r["mean"]))
        levels = dict(zip(test["position"].astype(int).tolist(), test["x"].tolist(), strict=True))
        on_test, on_train = (
            worse_than(given, int(best["position"]), list(levels), f"{s}_{name}") for s in ("test", "train")
        )
        for position, x in levels.items():
            if not on_test[position].low > 0:
                continue
            trains_worse = on_train[position].low > 0
            side = UNDER if x < best["x"] and trains_worse else OVER if x > best["x"] and not trains_worse else ""
            if side:
                rows.append((measure, side, x, best["x"]))
    return pd.DataFrame(rows, columns=columns)


def sentence(marked: pd.DataFrame, factor: str) -> str:
    """Say which levels are marked, against which, and what the mark means; nothing where none is."""
    said: dict[str, list[str]] = {}
    for measure, rows in marked.groupby("measure", sort=False):
        sides = [
            f"at {_levels(rows.loc[rows['side'] == side, 'x'].tolist())} it {side}"
            for side in (UNDER, OVER)
            if (rows["side"] == side).any()
        ]
        found = f"{factor} {rows['best'].iloc[0]:g} is best; {listing(sides)}."
        said.setdefault(found, []).append(str(measure))
    meaning = (
        "Shaded: underfits is test and train above those at the best level, overfits is test above and train not, by 95% "
        "intervals of paired differences."
    )
    return " ".join([*(f"By {listing(m)} {found}" for found, m in said.items()), *[meaning] * bool(said)])


def _levels(levels: list[float]) -> str:
    if len(levels) > MOST_NAMED:
        return f"{len(levels)} levels from {levels[0]:g} to {levels[-1]:g}"
    return listing([f"{x:g}" for x in levels])
