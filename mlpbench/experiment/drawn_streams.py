"""Which random streams a run draws from, so that replicates that share what they draw are not counted as several.

A stream that `vary` names makes replicates differ only in conditions whose settings draw from it: without dropout, replicates
that vary dropout alone are one network, trained again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from mlpbench.base.models import STREAM, STREAMS, SpecProblem, Stream
from mlpbench.experiment.design import Design
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics.metric import metric


def _is_random(init: str) -> bool:
    return init != "zeros" and not init.startswith("constant")


def _splits(condition: Condition, design: Design) -> bool:
    s, data = condition.settings, condition.data
    is_tuned_on_folds = design.folds is not None and bool(design.nuisance)
    if data.blocks is not None:
        return bool(s.validation and data.blocks.is_drawn(share=s.validation)) or (
            is_tuned_on_folds and data.blocks.is_drawn(folds=design.folds)
        )
    chosen = s.n_fit < data.n_train or s.train_shift != "none"
    return data.is_drawn_anew or is_tuned_on_folds or chosen


# When runs draw from a stream, in words and as a rule.
DRAWN: Mapping[Stream, tuple[str, Callable[[Condition, Design], bool]]] = {
    "init": (
        "init or bias_init is random",
        lambda c, _: _is_random(c.settings.init) or _is_random(c.settings.bias_init),
    ),
    "order": ("there are steps", lambda c, _: c.settings.steps > 0),
    "dropout": ("dropout is above 0", lambda c, _: c.settings.steps > 0 and any(0 < p < 1 for p in c.settings.dropout)),
    "split": ("there is validation, tuning on folds or train_shift, or train_size is below all", _splits),
    "noise": (
        "input_noise or label_noise is above 0",
        lambda c, _: c.settings.input_noise > 0 or c.settings.label_noise > 0,
    ),
}


def streams_that_matter(condition: Condition, design: Design) -> tuple[Stream, ...]:
    """Return the streams that move the runs of a condition by more than rounding.

    The order of one batch of all examples does not, but where there is dropout, it says which example gets which mask.
    """
    settings = condition.settings
    drawn = [s for s in STREAMS if DRAWN[s][1](condition, design)]
    return tuple(s for s in drawn if s != "order" or settings.batch_size < settings.n_fit or "dropout" in drawn)


def varied_in(condition: Condition, design: Design) -> tuple[Stream, ...]:
    """Return the streams by which the replicates of a condition differ."""
    vary = (cast(Stream, condition.levels[STREAM]),) if design.one_at_a_time else design.vary
    return tuple(s for s in streams_that_matter(condition, design) if s in vary)


@dataclass(frozen=True, kw_only=True)
class SharedDraw:
    """Replicates that are one draw: how many, the streams that vary, none of which is drawn from, and those that are."""

    replicates: int
    varied: Sequence[str]
    drawn: Sequence[str]

    @property
    def sentence(self) -> str:
        """What that means, in a sentence."""
        first = f"The {self.replicates} replicates are one draw, which is no test"
        if not self.drawn:
            return f"{first}: these runs draw no random numbers."
        vary = " or ".join(filter(None, [", ".join(self.drawn[:-1]), self.drawn[-1]]))
        return f"{first}: they differ only in {', '.join(self.varied)}, which these runs do not draw from. Vary {vary}."


def are_one_draw(measured: str, design: Design, needed: Sequence[Condition]) -> bool:
    """Return whether replicates are one draw in a metric: none of the conditions that it is of draws from a stream that varies.

    What is validated on folds is drawn by the split of examples into folds, unless groups or times leave one such split.
    """
    if metric(measured).source != "draws" or design.replicates < 2:
        return False
    if measured.startswith("val_") and design.folds is not None and "split" in design.vary:
        blocks = [c.data.blocks for c in needed]
        if any(b is None or b.is_drawn(folds=design.folds) for b in blocks):
            return False
    return not any(varied_in(c, design) for c in needed)


def streams_to_vary(design: Design, needed: Sequence[Condition]) -> list[Stream]:
    """Return the streams that some of the conditions draw from."""
    matter = {s for c in needed for s in streams_that_matter(c, design)}
    return [s for s in STREAMS if s in matter]


def check_streams(design: Design, conditions: Sequence[Condition]) -> None:
    """Raise SpecProblem for a stream that varies alone and that no draw comes from: its runs would all be one."""
    if not design.one_at_a_time:
        return
    for i, stream in enumerate(design.vary):
        when, is_drawn = DRAWN[stream]
        still = next((c for c in conditions if c.levels[STREAM] == stream and not is_drawn(c, design)), None)
        if still is not None:
            rule = (
                f"a stream that varies alone must be one that runs draw from, and they draw {stream} only where {when}"
            )
            raise SpecProblem(("vary", "each", i), f"{rule}, got {still.label!r}")
