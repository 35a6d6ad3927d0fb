"""The tables of docs/statistics.md: how often verdicts are wrong and differences are found, by counts that are stored.

python tests/helpers/calibration_table.py           write the tables of the stored counts
python tests/helpers/calibration_table.py --count   count anew first (ten minutes), and store the counts in docs/calibration.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration_cases import CASES
from simulated_experiments import TOO_SKEWED

DOCS = Path(__file__).resolve().parents[2] / "docs"
STORED, PAGE = DOCS / "calibration.json", DOCS / "statistics.md"
BEGINS, ENDS = "<!-- made by tests/helpers/calibration_table.py -->\n", "<!-- end -->\n"


@dataclass(frozen=True)
class Rates:
    """The counts of a case, as shares of its experiments."""

    experiments: int
    counts: Mapping[str, int]

    def of(self, *names: str) -> str:
        """Return a share, or the smallest and the largest of several, in percent."""
        shares = [self.counts[name] / self.experiments for name in names]
        ends = list(dict.fromkeys(percent(s) for s in (min(shares), max(shares))))
        return " to ".join([*(end.removesuffix("%") for end in ends[:-1]), ends[-1]])

    def mean(self, name: str) -> str:
        """Return a sum, for each experiment."""
        return f"{self.counts[name] / self.experiments:.0f}"

    def names(self, *, ending: str = "", without: Iterable[str] = ()) -> list[str]:
        """Return the names that end so, with none of some words in them."""
        return [n for n in self.counts if n.endswith(ending) and not any(word in n for word in without)]


def percent(share: float) -> str:
    """Return a share with a digit behind the point where it is small."""
    return f"{100 * share:.1f}%" if share < 0.0995 else f"{100 * share:.0f}%"


def counted_anew(name: str) -> dict[str, Any]:
    """Count a case; the counts of its first batch stand beside those of all."""
    case, seed = CASES[name], list(CASES).index(name)
    batches = [{k: int(v) for k, v in case.counted(seed, i).items()} for i in range(case.batches)]
    total = {k: sum(batch.get(k, 0) for batch in batches) for k in dict.fromkeys(k for batch in batches for k in batch)}
    return {"experiments": case.batch * case.batches, "counts": total, "first_batch": batches[0]}


def tables(stored: Mapping[str, Any]) -> str:
    """Return the tables of the page, with the sentence above them."""
    of = {name: Rates(case["experiments"], case["counts"]) for name, case in stored.items()}
    typical, splits = of["typical"], of["splits"]
    skewed, bootstrap = (
        typical.names(ending="0", without=["found"]),
        typical.names(ending="bootstrap", without=[TOO_SKEWED]),
    )
    kept, very = ([n for n in skewed if (TOO_SKEWED in n) == far] for far in (False, True))

    def missed(rows: int, ending: str = "") -> list[str]:
        """Return the intervals on tables of so many rows."""
        without = () if ending else ("uncorrected",)
        return [n for n in splits.names(ending=ending, without=without) if f", {rows} rows" in n]

    wrong = [
        ("t test, the default: normal and skewed metrics, counts; 5, 10 and 30 replicates", of["t"].of(*of["t"].counts), ""),
        ("any of ten claims, by Holm's method", of["ten claims"].of("Holm"), f"each at 5%: {of['ten claims'].of('each at 5%')}"),
        ("`until_decided`, from 5 to 30 replicates", of["top-up"].of("wrong"), f"each analysis at 5%: {of['top-up'].of('each at 5%')}"),
        ("`anytime`, after every replicate to 200", of["any time"].of("wrong"), f"a t test each time: {of['any time'].of('each at 5%')}"),
        ("the best of five seeds", of["five seeds"].of("wrong"), f"each at 5%: {of['five seeds'].of('each at 5%')}"),
        ("tuned on validation, 8 equal levels, 12 replicates", of["tuned"].of("wrong"), f"chosen over the replicates that are judged: {of['tuned'].of('by all')}"),
        ("`of: typical`, 20 and 30 replicates: normal, exponential, lognormal (sigma 1), or 5% collapse", typical.of(*kept), f"percentile bootstrap: {typical.of(*bootstrap)}"),
        ("`unit: dataset`, 8 data sets", f"{of['data sets'].of('signed_rank')} (`signed_rank`), {of['data sets'].of('t')} (`t`)", f"judged on these 8 alone: {of['data sets'].of('these')}"),
        ("`at the margin`, where the difference is half a margin", of["near a margin"].of("wrong"), ""),
        ("`resplit: true`, 95% intervals that miss the expected score; 500 rows, a tenth or half of them tested, 10 and 30 replicates", splits.of(*missed(500)), f"without the correction: {splits.of(*missed(500, 'uncorrected'))}"),
    ]  # fmt: skip
    off = [
        ("t test, differences that are lognormal themselves, 5 replicates", of["skewed differences"].of("t, 5"), ""),
        ("the same, 30 replicates", of["skewed differences"].of("t, 30"), ""),
        ("the same, `until_decided` from 5 to 30 replicates", of["skewed differences"].of("top-up"), ""),
        ("`of: typical`, lognormal (sigma 2), 20 and 30 replicates", typical.of(*very), f"percentile bootstrap: {typical.of(*(f'{n}, bootstrap' for n in very))}"),
        ("`resplit: true` as above, 60 rows", splits.of(*missed(60)), f"without the correction: {splits.of(*missed(60, 'uncorrected'))}"),
    ]  # fmt: skip
    top, more = of["top-up"], of["more replicates"]
    found = [
        ("0.5 sd, `until_decided` from 5 to 30 replicates", f"{top.of('found')}, after {top.mean('replicates')} on average", f"30 at once: {top.of('found at once')}"),
        ("the same, at the level of a first seed", top.of("found at a first seed"), f"30 at once: {top.of('found at once at a first seed')}"),
        ("0.7 sd, `anytime`, within 30 replicates", of["any time"].of("found"), f"30 at once: {of['any time'].of('found at once')}"),
        ("0.8 sd, `of: typical`, 20 replicates, normal", typical.of("found"), f"sign test: {typical.of('found by signs')}; t test: {typical.of('found by t')}"),
        ("on the margin, `at the margin`, 10 replicates, sd 0.4 margins", of["near a margin"].of("found"), ""),
        ("undecided after 5 replicates, with as many more as are said to decide with a chance of 50%", more.of("50%, any"), f"of 0.1 sd: {more.of('50%, small')}"),
        ("the same, with a chance of 80%", more.of("80%, any"), f"of 0.1 sd: {more.of('80%, small')}"),
    ]  # fmt: skip
    sizes = [case["experiments"] for case in stored.values()]
    said = f"Counted over {min(sizes):,} to {max(sizes):,} simulated experiments a row; a rate of 5% is known to within {error(max(sizes))} to {error(min(sizes))} points.\n"
    wrong_head = ["wrong verdicts, at 5%", "wrong", "otherwise"]
    parts = [
        [said],
        rows(wrong_head, wrong),
        ["", "Not calibrated is what has few rows, or numbers that are too skewed:", ""],
        rows(wrong_head, off),
        ["", "And of differences that are there, as many are found:", ""],
        rows(["differences", "found", "beside it"], found),
        [""],
    ]
    return "\n".join(line for part in parts for line in part)


def error(experiments: int) -> str:
    """Return half of the 95% interval of a rate of 5%, in percentage points."""
    return f"{196 * (0.05 * 0.95 / experiments) ** 0.5:.1f}"


def rows(head: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *cells)]


def page(text: str, stored: Mapping[str, Any]) -> str:
    """Return the text of the page with its made part made anew."""
    before, _, rest = text.partition(BEGINS)
    _, _, after = rest.partition(ENDS)
    return f"{before}{BEGINS}\n{tables(stored)}\n{ENDS}{after}"


def main() -> None:
    """Write the tables into the page, after counting anew where that is asked for."""
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    if "--count" in sys.argv:
        for name in sys.argv[sys.argv.index("--count") + 1 :] or CASES:
            stored[name] = counted_anew(name)
            STORED.write_text(json.dumps({name: stored[name] for name in CASES if name in stored}, indent=1) + "\n")
    PAGE.write_text(page(PAGE.read_text(), stored))


if __name__ == "__main__":
    main()
