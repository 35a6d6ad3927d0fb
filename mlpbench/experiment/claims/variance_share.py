"""The claim that one random stream makes more of the variance among replicates than any other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from mlpbench.base.models import STREAM, Path, SpecProblem, Stream, shown
from mlpbench.experiment.claims.claim_form import ClaimForm
from mlpbench.experiment.claims.hypothesis import (
    VARIANCE_LEAST,
    Hypothesis,
    LargestVariance,
    Quantity,
    Test,
    Wording,
)
from mlpbench.experiment.claims.replicate_numbers import WeightedSum
from mlpbench.experiment.claims.selectors import at_words, selects
from mlpbench.experiment.components.own_pieces import plain
from mlpbench.experiment.design import Design
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics.metric import Metric


class Share(ClaimForm):
    """The variance that one random stream makes among replicates, against that of each other stream, or of those in `among`."""

    name = "share"
    selectors = ("where",)

    where: dict[str, Any] = Field(default_factory=dict)
    stream: Stream
    expect: Literal["largest"]
    # No strictness: a list of the file is a tuple here.
    among: tuple[Stream, ...] | None = Field(default=None, strict=False)

    @property
    def own_test(self) -> str:
        """Variances are compared, not means."""
        return "share has its own test"

    def check(self, design: Design, measured: Metric, path: Path) -> None:
        """Raise SpecProblem where streams do not vary one at a time, or in too few replicates."""
        if not design.one_at_a_time:
            rule = "the share of a stream needs runs in which one stream varies at a time, `vary: {each: [...]}`"
            raise SpecProblem((*path, "stream"), f"{rule}, got vary {shown(list(design.vary))}")
        if self.stream not in design.vary:
            rule = f"a share is that of a stream that varies ({', '.join(design.vary)})"
            raise SpecProblem((*path, "stream"), f"{rule}, got {self.stream!r}")
        self._check_among(design, path)
        if design.replicates < VARIANCE_LEAST:
            rule = f"variances are compared over {VARIANCE_LEAST} replicates or more"
            raise SpecProblem(path, f"{rule}, got {design.replicates}")

    def _check_among(self, design: Design, path: Path) -> None:
        """Raise SpecProblem where the streams that are compared are not two or more of those that vary, with the claim's own."""
        if self.among is None:
            return
        for i, stream in enumerate(self.among):
            if stream not in design.vary or stream in self.among[:i]:
                rule = f"`among` lists streams that vary ({', '.join(design.vary)}), each once"
                raise SpecProblem((*path, "among", i), f"{rule}, got {stream!r}")
        if self.stream not in self.among or len(self.among) < 2:
            rule = f"`among` lists the claim's own stream, {self.stream}, and others"
            raise SpecProblem((*path, "among"), f"{rule}, got {shown(list(self.among))}")

    def check_selectors(self, path: Path) -> None:
        """Raise SpecProblem for a selector that names a stream."""
        if STREAM in self.where:
            rule = "a share is taken over all streams, so that `where` leaves stream out"
            raise SpecProblem((*path, "where", STREAM), f"{rule}, got {shown(self.where[STREAM])}", key=True)

    def check_conditions(self, design: Design, conditions: Sequence[Condition], path: Path) -> None:
        """Raise SpecProblem where there is more than one condition for each stream."""
        super().check_conditions(design, conditions, path)
        n = sum(selects(self.where, c) for c in conditions)
        if n != len(design.vary):
            rule = f"a share is of one condition for each stream, {len(design.vary)}: say which by `where`"
            raise SpecProblem(path, f"{rule}, got {n}")

    def hypothesis(self, design: Design, conditions: Sequence[Condition], test: Test) -> Hypothesis:
        """Return the test of the variances, whatever test is asked for."""
        among = design.vary if self.among is None else self.among
        of = {c.condition_id: str(c.levels[STREAM]) for c in conditions if selects(self.where, c)}
        streams = {condition_id: stream for condition_id, stream in of.items() if stream in among}
        name = f"variance of {plain(self.metric)}{at_words(self.where)}: share of {self.stream}"
        return Hypothesis(
            metric=self.metric,
            number=WeightedSum(weights=dict.fromkeys(streams, 1.0)),
            test=LargestVariance(stream=self.stream, streams=streams),
            sense="greater",
            bound=math.nan,
            quantity=Quantity(name=name, kind="share", plural="variances", unit="%", factor=100.0, signed=False),
            wording=Wording(
                formula=f"{name}, the largest of {', '.join(among)}",
                expected="largest",
                supported="it is the largest",
                refuted="another stream's is larger",
                question="whether it is the largest",
                remark="Variances are compared pairwise by the Brown-Forsythe test.",
            ),
            shared=self.where,
        )
