"""Which figures about stability a report shows, chosen by what varies and by what was measured, never by a name.

Each function states its rule, and returns None where the rule does not hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import pandas as pd

from mlpbench.evidence.estimates import activation_functions as functions
from mlpbench.evidence.estimates import layer_estimates, run_endings, weight_quantiles
from mlpbench.evidence.estimates.excerpt import MOST_DOTS
from mlpbench.evidence.estimates.layer_columns import Layers
from mlpbench.evidence.estimates.observe import DIVERGED, OK
from mlpbench.experiment.grid import Condition, format_level
from mlpbench.experiment.metrics.metric import WEIGHT_QUANTILES
from mlpbench.experiment.spec import Experiment
from mlpbench.report.figures import theme
from mlpbench.report.figures.arrangement import Arrangement, arrange
from mlpbench.report.figures.theme import Look
from mlpbench.report.language import stability_sentences as words
from mlpbench.report.sections.section import Section

# What makes signals what they are at the start.
SIGNAL_MAKERS = ("activation", "init", "bias_init", "depth", "norm", "input_scale")
DEATH_MAKERS = ("activation", "lr", "init", "bias_init")
WEIGHT_MAKERS = ("init", "weight_decay", "l1")
# A row of weights for each of so many conditions; a coordinate check for each of so many.
MOST_RIDGES, MOST_CHECKS = 12, 4
BANDS = "Lines are geometric means over replicates, bands 95% intervals."


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What pictures are made of: all conditions with their runs, and which of them are drawn, in which colours.

    `layers` reads the table of layers, and is called for runs of drawn conditions only; None where there is no table.
    """

    experiment: Experiment
    conditions: Sequence[Condition]
    observed: pd.DataFrame
    drawn: Sequence[int]
    drawn_by: str
    look: Look
    layers: Layers | None

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The layers of the drawn conditions, without weights, positions counted among those."""
        columns = ["act_mean", "act_var", "grad_norm", "forward_gain", "backward_gain"]
        return self.read(list(self.drawn), columns)

    @cached_property
    def chosen(self) -> list[Condition]:
        """The conditions that are drawn."""
        return [self.conditions[i] for i in self.drawn]

    def read(self, positions: Sequence[int], columns: Sequence[str], *, single: bool = False) -> pd.DataFrame:
        """Return some columns of the layers of some conditions; positions are counted in the order given.

        `single` reads the first run of each, of finished ones where there are any.
        """
        place = {position: i for i, position in enumerate(positions)}
        runs = self.observed[self.observed["position"].isin(list(place))]
        if single:
            ended = runs[runs["status"].isin([OK, DIVERGED])].assign(late=runs["status"] != OK)
            ended = ended.sort_values(["position", "late", "replicate"], kind="stable")
            runs = ended.drop_duplicates("position").assign(replicate=0)
        runs = runs.assign(position=runs["position"].map(place))
        ends = self.experiment.probes is None or math.inf in self.experiment.probes
        layers = self.layers
        assert layers is not None
        return layer_estimates.measured(runs, [self.conditions[i] for i in positions], layers, columns, ends=ends)

    def varied(self, among: Sequence[str]) -> list[str]:
        """Return which of some settings differ between conditions with a hidden layer."""
        settings = [c.settings for c in self.conditions if c.settings.n_hidden > 0]
        return [name for name in among if len({getattr(s, name) for s in settings}) > 1]

    def arranged(self, along: str = "") -> Arrangement:
        """Return how the drawn conditions become lines."""
        together = self.experiment.zipped if along in self.experiment.zipped else ()
        names = [n for n in self.experiment.factor_names if n not in together]
        return arrange(self.chosen, names, self.look, along)

    @property
    def labels(self) -> dict[int, str]:
        """The drawn conditions in words, by their place among those."""
        return {i: c.label for i, c in enumerate(self.chosen)}

    def text(self, *parts: str) -> str:
        """Return sentences as one text, with which conditions and replicates are drawn."""
        first = f"Drawn are the first {MOST_DOTS} replicates." if self.experiment.replicates > MOST_DOTS else ""
        return " ".join(p for p in (*parts, first, self.drawn_by) if p)


def pictures(shown: Shown) -> list[Section]:
    """Return the pictures whose rules hold, in the order of a report."""
    of_runs: list[Callable[[Shown], Section | None]] = [activation_functions, divergence, dead_units]
    of_layers: list[Callable[[Shown], Section | None]] = [signals, gains, over_steps, coordinates, weights]
    made = [make(shown) for make in (*of_runs, *(of_layers if shown.layers is not None else []))]
    return [picture for picture in made if picture is not None]


def activation_functions(shown: Shown) -> Section | None:
    """Show each activation and its derivative where `activation` differs between conditions."""
    if not shown.varied(["activation"]):
        return None
    from mlpbench.report.figures.function_panels import activation_functions as figure

    names = list(dict.fromkeys(c.settings.activation for c in shown.conditions if c.settings.n_hidden > 0))
    entries = dict(shown.look.entries)
    colours = dict(zip(names, theme.palette(len(names), ordered=False), strict=True))
    if all(name in entries for name in names):
        colours = {name: entries[name] for name in names}
    shapes = functions.shapes(names)
    told = words.of_functions(shapes)
    learnt = "PReLU is drawn with the slope it starts from." if "prelu" in names else ""
    alt = f"Each activation function and its derivative on [-8, 8]. {told}"
    text = " ".join(p for p in (told, learnt) if p)
    return Section(
        name="activation_functions",
        title="Activation functions",
        text=text,
        alt=alt,
        draw=partial(figure, shapes, colours),
    )


def divergence(shown: Shown) -> Section | None:
    """Show where training diverges if some but not all of the runs that ended did, and a factor tells them apart."""
    diverged = shown.observed["diverged"].dropna()
    if not 0 < diverged.sum() < len(diverged):
        return None
    from mlpbench.report.figures.divergence import divergence_bars, divergence_map

    names = [*shown.experiment.factor_names, *shown.experiment.nuisance]
    cells, chosen = run_endings.divergence(shown.observed, shown.conditions, names)
    if not chosen:
        return None
    told = words.of_divergence(cells, chosen)
    draw = partial(divergence_map if len(chosen) == 2 else divergence_bars, cells, *chosen)
    others = [n for n in names if n not in chosen and len({c.levels.get(n) for c in shown.conditions}) > 1]
    pooled = f"Runs of all levels of {' and '.join(others)} are counted together." if others else ""
    alt = f"Share of runs that diverged over {' and '.join(chosen)}. {told}"
    return Section(
        name="divergence", title="Divergence", text=" ".join(p for p in (told, pooled) if p), alt=alt, draw=draw
    )


def dead_units(shown: Shown) -> Section | None:
    """Show the share of dead hidden units if a run has any and activation, lr, init or bias_init is varied."""
    if not (shown.observed["dead_units"] > 0).any() or not shown.varied(DEATH_MAKERS):
        return None
    from mlpbench.report.figures.dead_units import dead_units as figure

    estimates, points = run_endings.dead_shares(shown.observed, shown.conditions)
    told = words.of_dead(estimates)
    place = {position: i for i, position in enumerate(p for p in shown.drawn if p in set(estimates["position"]))}
    few = shown.observed["replicate"].reindex(points.index) < MOST_DOTS
    drawn = [f[f["position"].isin(list(place))] for f in (estimates, points[few])]
    estimates, points = (f.assign(position=f["position"].map(place)) for f in drawn)
    if estimates.empty:
        return None
    draw = partial(figure, estimates.sort_values("position", kind="stable"), points, shown.look)
    alt = f"Share of hidden units that are dead, by condition. {told}"
    meant = "A unit is dead that is zero on every one of 10,000 training examples."
    return Section(name="dead_units", title="Dead units", text=shown.text(told, meant), alt=alt, draw=draw)


def signals(shown: Shown) -> Section | None:
    """Show signal by layer if what makes signals is varied or nothing is trained, and a condition has 2 hidden layers.

    What makes signals: activation, init, bias_init, depth, hidden_sizes, norm, input_scale.
    """
    shapes = {c.settings.hidden_sizes for c in shown.conditions} if "hidden_sizes" in _levels(shown) else set()
    untrained = any(c.settings.steps == 0 for c in shown.conditions)
    if not (shown.varied(SIGNAL_MAKERS) or len(shapes) > 1 or untrained):
        return None
    if all(c.settings.n_hidden < 2 for c in shown.chosen) or shown.rows.empty:
        return None
    from mlpbench.report.figures.signals import signal_by_layer

    estimates = layer_estimates.signals(shown.rows)
    arranged = shown.arranged()
    told = words.of_signals(estimates, shown.labels, {i: c.settings.n_hidden for i, c in enumerate(shown.chosen)})
    alt = f"Activation variance and gradient norm against layer. {told}"
    draw = partial(signal_by_layer, estimates, arranged)
    return Section(
        name="signals",
        title="Signal by layer",
        text=shown.text(told, "The last layer is that of the outputs.", BANDS, arranged.told),
        alt=alt,
        draw=draw,
    )


def gains(shown: Shown) -> Section | None:
    """Show gain against depth if `depth` is a factor with 3 levels or more that have hidden layers."""
    depths = {c.settings.n_hidden for c in shown.chosen} - {0}
    if "depth" not in shown.experiment.factor_names or len(depths) < 3 or shown.rows.empty:
        return None
    from mlpbench.report.figures.depth_gain import gain_against_depth

    estimates = layer_estimates.gains(shown.rows)
    arranged = shown.arranged("depth")
    told = words.of_gains(estimates, shown.labels)
    meant = (
        "The forward gain is the root mean square of the last hidden activations over that of the inputs, the backward gain "
        "that of the gradient at the first layer over that at the outputs."
    )
    alt = f"Forward and backward gain over all hidden layers against depth. {told}"
    text = shown.text(told, meant, BANDS, arranged.told)
    return Section(
        name="depth_gain",
        title="Gain against depth",
        text=text,
        alt=alt,
        draw=partial(gain_against_depth, estimates, arranged),
    )


def over_steps(shown: Shown) -> Section | None:
    """Show layers over steps if layers were measured at 3 steps or more, in a condition with a hidden layer."""
    if len(shown.experiment.probes or ()) < 3 or shown.rows.empty:
        return None
    estimates = layer_estimates.over_steps(shown.rows)
    if estimates["step"].nunique() < 3:
        return None
    from mlpbench.report.figures.over_steps import layers_over_steps

    arranged = shown.arranged()
    told = words.of_steps(estimates, shown.labels)
    alt = f"Activation variance and gradient norm of the first and the last hidden layer against gradient steps. {told}"
    draw = partial(layers_over_steps, estimates, arranged)
    text = shown.text(told, BANDS, arranged.told)
    return Section(name="over_steps", title="Layers over training", text=text, alt=alt, draw=draw)


def coordinates(shown: Shown) -> Section | None:
    """Show the coordinate check if `width` is a factor with 3 levels or more and layers were measured at 3 steps or more."""
    widths = {c.settings.width for c in shown.chosen if c.settings.depth > 0}
    if (
        "width" not in shown.experiment.factor_names
        or len(widths) < 3
        or len(shown.experiment.probes or ()) < 3
        or shown.rows.empty
    ):
        return None
    from mlpbench.report.figures.coordinates import coordinate_check

    others = [n for n in shown.experiment.factor_names if n != "width" and len({_text(c, n) for c in shown.chosen}) > 1]
    of = {n: list(dict.fromkeys(_text(c, n) for c in shown.chosen)) for n in others}
    by = next((n for n in others if len(of[n]) <= MOST_CHECKS), "")
    groups = {i: f"{by}={_text(c, by)}" if by else "" for i, c in enumerate(shown.chosen)}
    estimates = layer_estimates.scales(shown.rows, groups)
    if estimates["epoch"].nunique() < 3:
        return None
    averaged = [n for n in others if n != by]
    told = words.of_scales(estimates)
    over = f"Averaged over {' and '.join(averaged)} within the replicate." if averaged else ""
    alt = f"Scale of the last hidden layer's activations against width, a line for each probed epoch. {told}"
    text = shown.text(told, "The scale is the root mean square.", over, BANDS)
    return Section(
        name="coordinates", title="Coordinate check", text=text, alt=alt, draw=partial(coordinate_check, estimates)
    )


def weights(shown: Shown) -> Section | None:
    """Show the weights' distributions if init, weight_decay or l1 is varied: the first drawn condition of each combination."""
    names = shown.varied(WEIGHT_MAKERS)
    if not names:
        return None
    first: dict[tuple[object, ...], int] = {}
    for position in shown.drawn:
        settings = shown.conditions[position].settings
        first.setdefault(tuple(getattr(settings, n) for n in names), position)
    positions = list(first.values())[:MOST_RIDGES]
    found = weight_quantiles.distributions(shown.read(positions, [WEIGHT_QUANTILES], single=True))
    if found.empty:
        return None
    from mlpbench.report.figures.weight_ridges import weight_distributions

    whole = len(first) == len(shown.drawn) == len(positions)
    chosen = [shown.conditions[p] for p in positions]
    colours = {i: shown.look.colours[c.condition_id] for i, c in enumerate(chosen)}
    levels = [[format_level(getattr(c.settings, n)) for n in names] for c in chosen]
    labels = {i: ", ".join(f"{n}={v}" for n, v in zip(names, of, strict=True)) for i, of in enumerate(levels)}
    told = words.of_weights(found, labels)
    rule = "" if whole else f"Of the conditions of each {' and '.join(names)} the first is drawn{_at_most(len(first))}."
    how = "Densities follow 21 quantiles of the first finished run of a condition, and are scaled to their peak."
    draw = partial(weight_distributions, found, labels, colours)
    alt = f"Distribution of the weights of first, middle and last layer. {told}"
    return Section(
        name="weights", title="Weights", text=" ".join(p for p in (told, how, rule) if p), alt=alt, draw=draw
    )


def _at_most(combinations: int) -> str:
    return f", of {MOST_RIDGES} of {combinations} combinations" if combinations > MOST_RIDGES else ""


def _levels(shown: Shown) -> set[str]:
    return {name for c in shown.conditions for name in c.levels}


def _text(condition: Condition, name: str) -> str:
    return format_level(condition.levels.get(name))
