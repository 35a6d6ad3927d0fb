"""Sections about signals in layers: by layer, against depth, over training, and against width (the coordinate check).

Which of them a report shows depends on what varies and on what was measured, never on a name.

Reference, of the coordinate check: G. Yang et al., "Tensor programs V: tuning large neural networks via zero-shot
hyperparameter transfer", 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlpbench.evidence.estimates import layer_estimates
from mlpbench.evidence.estimates.layer_estimates import BACKWARD, END, FORWARD, GRADIENT, START, VARIANCE
from mlpbench.evidence.frames import records
from mlpbench.experiment.grid import format_level
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.figures.condition_colours import Arrangement, arrange
from mlpbench.report.figures.layouts import panels, whole_numbers
from mlpbench.report.number_text import rounded_factor
from mlpbench.report.section import Section, figure_section, paragraph
from mlpbench.report.words import span

BANDS = "Lines are geometric means over replicates, bands 95% intervals."
# Of rows and columns of panels, from top to bottom and from left to right.
ORDER = (FORWARD, BACKWARD, VARIANCE, GRADIENT, START, END)
# Settings that say where a line over layers ends.
SHAPES_OF_LINES = {"depth", "hidden_sizes"}
# The settings that make signals what they are at the start.
SIGNAL_SETTINGS = ("activation", "init", "bias_init", "depth", "norm", "input_scale", "residual", "parametrization")
# Fewer depths, widths or probed steps than this make no line.
FEWEST = 3
# From this ratio of decades on start and end have axes of their own.
MOST_APART = 3.0
# Panels of the coordinate check beside each other.
MOST_PANELS = 4
GAINS = (
    "The forward gain is the root mean square of the last hidden activations divided by that of the inputs, the backward gain "
    "that of the gradient at the first layer divided by that at the outputs."
)


def by_layer(context: Context) -> Section | None:
    """Return signals by layer if a setting that makes them is varied or nothing is trained, and a condition has 2 hidden layers.

    Those settings are activation, init, bias_init, depth, hidden_sizes, norm, input_scale, residual and parametrization.
    """
    factors = {name for c in context.conditions for name in c.levels}
    shapes = {c.settings.hidden_sizes for c in context.conditions} if "hidden_sizes" in factors else set()
    untrained = any(c.settings.steps == 0 for c in context.conditions)
    if not (context.varied_settings(SIGNAL_SETTINGS) or len(shapes) > 1 or untrained):
        return None
    depths = {i: c.settings.n_hidden for i, c in enumerate(context.drawn_conditions)}
    if max(depths.values()) < 2:
        return None
    rows = context.layer_rows
    if rows.empty:
        lacking = context.runs_without_layers
        return Section(title="Signal by layer", sentences=lacking) if lacking else None
    estimates = layer_estimates.signals(rows, context.overlaps_of_training(context.excerpt.drawn))
    deep = [i for i, depth in depths.items() if depth > 1]
    place = {position: i for i, position in enumerate(deep)}
    shown = estimates[estimates["position"].isin(deep)].assign(position=estimates["position"].map(place))
    if shown["mean"].isna().all():
        return Section(title="Signal by layer", sentences=by_layer_sentence(estimates, _labels(context), depths))
    lines = arrange(context.experiment, [context.drawn_conditions[i] for i in deep], context.colours)
    return figure_section(
        "Signal by layer",
        by_layer_sentence(estimates, _labels(context), depths),
        "The last layer is the output layer.",
        "Conditions of fewer than two hidden layers have no lines, and are not drawn."
        if len(deep) < len(depths)
        else "",
        f"At the start panels would be alike, and there is one for all; those of the end are of {lines.panel_of}."
        if starts_alike(_placed(shown, lines), lines)
        else "",
        BANDS,
        context.runs_without_layers,
        lines.sentence,
        "Each ends at its last layer." if lines.unmarked and set(lines.unmarked) <= SHAPES_OF_LINES else "",
        context.drawn_by,
        figure="signals",
        alt="Activation variance and gradient norm against layer.",
        draw=partial(draw_by_layer, shown, lines),
    )


def by_layer_sentence(estimates: pd.DataFrame, labels: Mapping[int, str], depths: Mapping[int, int]) -> str:
    """Say how variance and gradient change over the hidden layers, in which condition most and in which least."""
    compared = (
        (VARIANCE, "the variance of activations in the last hidden layer is", "times that in the first"),
        (GRADIENT, "the gradient norm of the first layer is", "times that of the last hidden layer"),
    )
    parts = []
    for when in (START, END):
        now = estimates[estimates["when"] == when]
        ratios = [(_ratios(now[now["measure"] == m], depths, m), what, against) for m, what, against in compared]
        spans = [f"{span(values, labels, what)} {against}" for values, what, against in ratios if values]
        if spans:
            parts.append(f"At the {when} {' and '.join(spans)}.")
    return paragraph(*parts, _zeros(estimates))


def _ratios(rows: pd.DataFrame, depths: Mapping[int, int], measure: str) -> dict[int, float]:
    """Return last over first hidden layer of a variance, first over last of a gradient, where both have a mean."""
    means = {(int(r["position"]), int(r["layer"])): float(r["mean"]) for r in records(rows)}
    ratios = {}
    for position, depth in depths.items():
        first, last = means.get((position, 1), np.nan), means.get((position, depth), np.nan)
        ratio = last / first if measure == VARIANCE else first / last
        if depth > 1 and np.isfinite(ratio):
            ratios[position] = float(ratio)
    return ratios


def draw_by_layer(estimates: pd.DataFrame, lines: Arrangement) -> Figure:
    """Return a row for each of start and end, a column for each measure; with panels of their own, the other way round.

    `estimates` has position (a place in `lines`), when, measure, layer, mean, low and high.
    """
    frame = _placed(estimates, lines).assign(x=estimates["layer"])
    figure = panels(_in_grid(frame, lines), lines.entries, lines.title, "layer", lines.style_entries)
    whole_numbers(figure.axes)
    return figure


def against_depth(context: Context) -> Section | None:
    """Return gain against depth if `depth` is a factor with 3 levels or more that have hidden layers."""
    depths = {c.settings.n_hidden for c in context.drawn_conditions} - {0}
    if "depth" not in context.experiment.factor_names or len(depths) < FEWEST or context.layer_rows.empty:
        return None
    estimates, lines = (
        layer_estimates.gains(context.layer_rows, context.overlaps_of_training(context.excerpt.drawn)),
        _arranged(context, "depth"),
    )
    return figure_section(
        "Gain against depth",
        gain_sentence(estimates, _labels(context)),
        GAINS,
        BANDS,
        context.runs_without_layers,
        lines.sentence,
        context.drawn_by,
        figure="depth_gain",
        alt="Forward and backward gain over all hidden layers against depth.",
        draw=partial(draw_against_depth, estimates, lines),
    )


def gain_sentence(estimates: pd.DataFrame, labels: Mapping[int, str]) -> str:
    """Say what the gains are at the largest depth, in which condition most and in which least."""
    when = START if (estimates["when"] == START).any() else END
    depth = int(estimates["depth"].max())
    deepest = estimates[(estimates["when"] == when) & (estimates["depth"] == depth)].dropna(subset=["mean"])
    spans = [
        span(_means(deepest[deepest["measure"] == measure]), labels, f"the {measure} is")
        for measure in (FORWARD, BACKWARD)
    ]
    gains = " and ".join(filter(None, spans))
    return paragraph(f"Through {depth} hidden layers at the {when} {gains}." if gains else "", _zeros(estimates))


def _means(rows: pd.DataFrame) -> dict[int, float]:
    return {int(r["position"]): float(r["mean"]) for r in records(rows)}


def draw_against_depth(estimates: pd.DataFrame, lines: Arrangement) -> Figure:
    """Return forward and backward gain over depth; `estimates` has position, when, measure, depth, mean, low and high."""
    frame = _placed(estimates, lines).assign(x=estimates["depth"])
    figure = panels(_in_grid(frame, lines), lines.entries, lines.title, "depth", lines.style_entries)
    with theme.style():
        for ax in figure.axes:
            theme.level_axis(ax, [float(d) for d in estimates["depth"]], ax.get_xlabel())
    return figure


def over_training(context: Context) -> Section | None:
    """Return layers over steps if layers were measured at 3 steps or more, in a condition with a hidden layer."""
    if len(context.experiment.probes or ()) < FEWEST or context.layer_rows.empty:
        return None
    estimates, lines = (
        layer_estimates.over_steps(context.layer_rows, context.overlaps_of_training(context.excerpt.drawn)),
        _arranged(context),
    )
    if estimates["step"].nunique() < FEWEST:
        return None
    return figure_section(
        "Layers over training",
        over_training_sentence(estimates, _labels(context)),
        BANDS,
        context.runs_without_layers,
        lines.sentence,
        context.drawn_by,
        figure="over_steps",
        alt="Activation variance and gradient norm of the first and the last hidden layer against gradient steps.",
        draw=partial(draw_over_training, estimates, lines),
    )


def over_training_sentence(estimates: pd.DataFrame, labels: Mapping[int, str]) -> str:
    """Say by what factor the first hidden layer's gradient norm changes in training, where most and where least."""
    rows = estimates[(estimates["measure"] == GRADIENT) & (estimates["which"] == estimates["which"].iloc[0])]
    ratios = {}
    for position, line in rows.groupby("position", sort=True):
        means = line.sort_values("step")["mean"].to_numpy(dtype=float)
        if len(means) > 1 and np.isfinite(means[0]) and np.isfinite(means[-1]) and means[0] > 0:
            ratios[int(str(position))] = float(means[-1] / means[0])
    change = span(ratios, labels, "the gradient norm of the first hidden layer changes by a factor of")
    return paragraph(f"From the first probe to the last {change}." if change else "", _zeros(estimates))


def draw_over_training(estimates: pd.DataFrame, lines: Arrangement) -> Figure:
    """Return a row for each measure, a column for each layer; of conditions in panels, a row for each of both.

    `estimates` has position, measure, which (the layer, in words), step, mean, low and high.
    """
    frame = _placed(estimates, lines).assign(x=estimates["step"])
    if lines.panel_of:
        both = frame["measure"].astype(str) + ",\n" + frame["which"].astype(str)
        head = frame["panel"].where(both == both.iloc[0], "")
        frame = frame.assign(row=both, column=frame["panel"], head=head, measure=both)
    else:
        head = frame["which"].where(frame["measure"] == frame["measure"].iloc[0], "")
        frame = frame.assign(row=frame["measure"], column=frame["which"], head=head)
    return panels(frame, lines.entries, lines.title, "gradient step", lines.style_entries)


def coordinate_check(context: Context) -> Section | None:
    """Return whether activations keep their scale as width grows, at the start and after some training.

    It needs `width` as a factor with 3 levels or more, and layers that were measured at 3 steps or more. Panels are of the
    parametrisations, if there are several, and of further factors as far as there is room.
    """
    drawn, names = context.drawn_conditions, context.experiment.factor_names
    widths = {c.settings.width for c in drawn if c.settings.depth > 0}
    if "width" not in names or len(widths) < FEWEST or len(context.experiment.probes or ()) < FEWEST:
        return None
    if context.layer_rows.empty:
        return None
    texts = {n: [format_level(c.levels.get(n)) for c in drawn] for n in names if n != "width"}
    others = [n for n, levels in texts.items() if len(set(levels)) > 1]
    by = _panel_factors({n: len(set(texts[n])) for n in others})
    groups = [", ".join(f"{n}={texts[n][i]}" for n in by) for i in range(len(drawn))]
    # Above a panel there is no room for the names of several factors: the text has them.
    heads = [", ".join(texts[n][i] for n in by) if len(by) > 1 else groups[i] for i in range(len(drawn))]
    averaged = [n for n in others if n not in by]
    levels = [", ".join(f"{n}={texts[n][i]}" for n in averaged) for i in range(len(drawn))]
    of = (context.layer_rows, dict(enumerate(groups)), dict(enumerate(levels)))
    estimates = layer_estimates.scales(*of, context.overlaps_of_training(context.excerpt.drawn))
    if estimates["epoch"].nunique() < FEWEST:
        return None
    return figure_section(
        "Coordinate check",
        coordinates_sentence(estimates),
        "The scale is the root mean square.",
        f"Averaged over {' and '.join(averaged)} within each replicate." if averaged else "",
        _left_out(layer_estimates.uneven(*of)) if averaged else "",
        BANDS,
        context.runs_without_layers,
        context.drawn_by,
        figure="coordinates",
        alt="Scale of the last hidden layer's activations against width, a line for each probed epoch.",
        draw=partial(draw_coordinates, estimates, dict(zip(groups, heads, strict=True))),
    )


def _left_out(levels: Sequence[tuple[str, str]]) -> str:
    """Say which levels the averages are without, and why; nothing where they have all."""
    if not levels:
        return ""
    by_level: dict[str, list[str]] = {}
    for group, level in levels:
        by_level.setdefault(level, []).append(group)
    named = "; ".join(level + (f" with {' and '.join(of)}" if any(of) else "") for level, of in by_level.items())
    return f"Left out, since at some width a run diverged or its scale is 0: {named}."


def _panel_factors(counts: Mapping[str, int]) -> list[str]:
    """Return the factors, of so many levels each, whose levels have panels of their own: the parametrisation before others."""
    by: list[str] = []
    panels_so_far = 1
    for name in sorted(counts, key=lambda n: n != "parametrization"):
        if panels_so_far * counts[name] <= MOST_PANELS:
            by.append(name)
            panels_so_far *= counts[name]
    return by


def coordinates_sentence(estimates: pd.DataFrame) -> str:
    """Say by what factor the scale changes from the narrowest to the widest network, at the first probe and at the last."""
    parts = []
    for group in dict.fromkeys(estimates["group"]):
        rows = estimates[estimates["group"] == group]
        ends = []
        for epoch in (rows["epoch"].min(), rows["epoch"].max()):
            line = rows[rows["epoch"] == epoch].sort_values("width")
            first, last = (float(line["mean"].iloc[i]) for i in (0, -1))
            if np.isfinite(last / first):
                ends.append(f"{rounded_factor(last / first)} at epoch {epoch:.3g}")
        if ends:
            parts.append(" and ".join(ends) + (f" with {group}" if group else ""))
    if not parts:
        return ""
    narrow, wide = int(estimates["width"].min()), int(estimates["width"].max())
    change = f"From width {narrow} to {wide} the scale of the last hidden layer's activations changes by a factor of {'; '.join(parts)}."
    return paragraph(change, _zeros(estimates))


def draw_coordinates(estimates: pd.DataFrame, heads: Mapping[str, str]) -> Figure:
    """Return the scale of the last hidden layer over width, a line for each probe and a panel for each group.

    `estimates` has group, width, epoch, measure, mean, low and high; `heads` has what stands above the panel of each group. Lines
    get darker as training goes on.
    """
    epochs = sorted(set(estimates["epoch"]))
    texts = {epoch: f"{epoch:.3g}" for epoch in epochs}
    entries = list(zip(texts.values(), theme.palette(len(epochs), ordered=True), strict=True))
    text = estimates["epoch"].map(texts)
    frame = estimates.assign(
        row="",
        column=estimates["group"],
        head=estimates["group"].map(heads),
        line=text,
        text=text,
        x=estimates["width"],
    )
    figure = panels(frame, entries, "epoch", "width")
    widths = sorted({float(w) for w in estimates["width"]})
    with theme.style():
        for ax in figure.axes:
            ax.set_xscale("log", base=2)  # also for widths within a decade: a slope is to be a power
            ax.set_xticks(widths, [f"{w:g}" for w in widths])
            ax.minorticks_off()
    return figure


def _arranged(context: Context, along: str = "") -> Arrangement:
    """Return how the drawn conditions become lines over `along`, a factor, or over something that is none."""
    return arrange(context.experiment, context.drawn_conditions, context.colours, along)


def _labels(context: Context) -> dict[int, str]:
    """Return the labels of the drawn conditions, by their place among those."""
    return {i: c.label for i, c in enumerate(context.drawn_conditions)}


def _placed(estimates: pd.DataFrame, lines: Arrangement) -> pd.DataFrame:
    """Return estimates with the panel, the line, the colour's text and the place of the dash of each condition."""
    columns = {
        "panel": lines.panels,
        "line": lines.lines,
        "text": lines.texts,
        "style": lines.styles or [0] * len(lines.lines),
    }
    return estimates.assign(**{name: estimates["position"].map(dict(enumerate(of))) for name, of in columns.items()})


def _in_grid(frame: pd.DataFrame, lines: Arrangement) -> pd.DataFrame:
    """Return rows by `when` and columns by measure; of conditions in panels, rows by both and columns by panel."""
    keys = frame[["measure", "when"]].map(ORDER.index)
    frame = frame.iloc[np.lexsort((keys["when"], keys["measure"]))]
    several = frame["when"].nunique() > 1
    both = frame["measure"].astype(str) + (", " + frame["when"].astype(str) if several else "")
    if starts_alike(frame, lines):
        first = frame["panel"] == frame["panel"].iloc[0]
        started = frame["when"] == START
        kept = frame[~started | first]
        column = kept["panel"].where(kept["when"] == END, START)
        level = kept["panel"].str.removeprefix(f"{lines.panel_of}=")
        head = (
            (f"{END}, " + level).where(kept["when"] == END, START).where(kept["measure"] == kept["measure"].iloc[0], "")
        )
        kept = kept.assign(row=kept["measure"], column=column, head=head, late=kept["when"] == END)
        keys = pd.DataFrame({"late": kept["late"], "measure": kept["measure"].map(ORDER.index)})
        ordered: pd.DataFrame = kept.loc[keys.sort_values(["late", "measure"], kind="stable").index]
        return ordered
    if lines.panel_of:
        head = frame["panel"].where(both == both.iloc[0], "")
        return frame.assign(row=both, column=frame["panel"], head=head, measure=both if several else frame["measure"])
    measure = both if several and _apart(frame) else frame["measure"]
    return frame.assign(row=frame["when"], column=frame["measure"], head=frame["when"], measure=measure)


def _apart(frame: pd.DataFrame) -> bool:
    """Return whether numbers at the start span so many more decades than those at the end, or fewer, that one axis hides the less."""
    positive = frame[frame["mean"] > 0]
    logs = np.log10(positive["mean"]).groupby([positive["measure"], positive["when"]])
    spans = (logs.max() - logs.min()).unstack()
    return bool((spans.max(axis=1) > MOST_APART * spans.min(axis=1).clip(lower=1)).any())


def starts_alike(frame: pd.DataFrame, lines: Arrangement) -> bool:
    """Return whether all panels have the same lines at the start, as where what they stand for matters in training alone."""
    start = frame[frame["when"] == START]
    if not lines.panel_of or frame["panel"].nunique() < 2 or frame["when"].nunique() < 2 or "layer" not in frame:
        return False
    line = ["measure", "layer", "text", "style"]
    if start.duplicated([*line, "panel"]).any():
        return False
    table = start.pivot(index=line, columns="panel", values="mean").to_numpy(dtype=float)
    return bool(np.allclose(table, table[:, :1], rtol=1e-6, atol=0, equal_nan=True))


def _zeros(estimates: pd.DataFrame) -> str:
    """Say where lines break off because a number is 0; nothing where none is."""
    n = estimates.loc[estimates["zeros"] > 0, "position"].nunique()
    if not n:
        return ""
    some = "1 condition has" if n == 1 else f"{n} conditions have"
    return f"{some} a replicate in which a number is exactly 0: lines break off there."
