"""Sections on all conditions: how they were tuned, a table of their main metrics, and the outcome of every replicate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mlpbench.base.escapes import bullets, printable
from mlpbench.base.models import SHOWN
from mlpbench.evidence.estimates.excerpt import MOST_DOTS
from mlpbench.evidence.estimates.observe import as_geometric, estimate, geometric_intervals, intervals, with_labels
from mlpbench.evidence.estimates.overlap import by_position, largest_overlap
from mlpbench.evidence.estimates.tuning_choice import MANY_DIVERGED, has_regret, tuned_by
from mlpbench.evidence.estimates.tuning_curve import tuning_curve as estimate_tuning_curves
from mlpbench.evidence.frames import floats, records
from mlpbench.evidence.training_warnings import edges
from mlpbench.experiment.grid import Condition, format_level
from mlpbench.experiment.metrics import own_metrics
from mlpbench.experiment.metrics.metric import metric
from mlpbench.experiment.plugins.plugin import pieces_of
from mlpbench.experiment.spec import Experiment
from mlpbench.report.context import FURTHER_SCORES, OF_TEST_SET, Context
from mlpbench.report.diagnostics.tuning_levels import levels_table
from mlpbench.report.figures import scales, theme
from mlpbench.report.figures.condition_colours import ConditionColours
from mlpbench.report.figures.condition_groups import LABEL, settings_of_labels
from mlpbench.report.figures.layouts import joins_rows, replicate_rows
from mlpbench.report.number_text import brief, fixed, scientific, with_spread
from mlpbench.report.section import Section, blocks, figure_section, paragraph, table

MOST_LISTED = 20
HEADINGS = {
    "train_loss": "train loss", "test_loss": "test loss", "train_accuracy": "train accuracy",
    "val_accuracy": "validation accuracy", "test_accuracy": "test accuracy", "gap_accuracy": "gap",
    "val_loss": "validation loss", "gap_loss": "gap", "epochs_taken": "epochs", "best_epoch": "best epoch", **FURTHER_SCORES,
}  # fmt: skip
GAPS = {"accuracy": "train minus test accuracy", "loss": "test minus train loss"}
# Numbers from here on are scientific; a spread this many times that of its column has its own digits.
HUGE, FAR = 1e5, 100.0
UNTRAINED = (
    "No network is trained here, so that its test {measure} is chance: there are no learning curves, and neither errors nor replicates are "
    "drawn."
)


def tuning(context: Context) -> Section | None:
    """Return how settings were tuned, a table of the conditions listed, and warnings; None where nothing is tuned."""
    tuned, experiment = context.judgement.grid.tuning, context.experiment
    if tuned.empty:
        return None
    metric = tuned_by(experiment).replace("val_", "validation ")
    equal = (
        ", and of levels with equal accuracy that with the lower validation loss first" if "accuracy" in metric else ""
    )
    how = (
        f"Tuned for each condition: {', '.join(experiment.nuisance)}. {_how_tuned(experiment, metric)} Verdicts are conditional on this "
        "choice; the table shows how many replicates would choose each level on their own. A level with more diverged runs ranks after "
        f"all levels with fewer{equal}."
    )
    rows = records(tuned[tuned["position"].isin(list(context.excerpt.listed))])
    levels, read = levels_table(rows, metric)
    missing = int(tuned["missing"].sum())
    waiting = f"{missing} runs are still missing: the choice may change." if missing else ""
    notes = blocks(
        _warnings(tuned, experiment),
        waiting,
        context.excerpt.listed_by,
        regret_sentence(experiment, context.observed, context.conditions),
    )
    return Section(title="Tuning", sentences=paragraph(how, read), table=levels, notes=notes)


def _how_tuned(experiment: Experiment, metric: str) -> str:
    """Say from which runs the level is chosen, and which runs the metrics of a condition are of."""
    if not experiment.folds:
        share = f"on a validation set of a share of {experiment.validation or 0:g} of the training examples"
        if experiment.validation is None:
            sizes = " or ".join(dict.fromkeys(str(data.n_validation) for data in experiment.facts))
            share = f"on the {sizes} validation examples that the data set gives"
        if not experiment.set_aside:
            return (
                f"The level with the best {metric} was chosen, {share}. There is but one replicate: the level is chosen on what is "
                "compared, so that a condition with more levels looks better than it is."
            )
        return (
            f"In each replicate the level with the best mean {metric} over the replicates before it was chosen, {share}: what is judged "
            "had no part in the choice. The first replicate only tunes. Comparisons use only the runs of the chosen levels."
        )
    chosen = f"In each replicate the level with the best mean {metric} over {experiment.folds} folds was chosen"
    if has_regret(experiment):
        return f"{chosen}; every level was trained again on all training examples, and test metrics are those of the chosen level."
    return f"{chosen} and trained again on all training examples; test metrics are those of these refits."


def _warnings(tuning: pd.DataFrame, experiment: Experiment) -> str:
    lines = []
    for r in records(tuning):
        if names := edges(r, experiment):
            lines.append(
                f"{r['label']}: the chosen {r['tuning']} is at the edge of the tuned range of {', '.join(names)}: a better level may "
                "lie beyond it."
            )
        if r["diverged"] > MANY_DIVERGED * r["runs"]:
            lines.append(
                f"{r['label']}: {r['diverged'] / r['runs']:.0%} of the runs with {r['tuning']} diverged (listed where more than "
                f"{MANY_DIVERGED:.0%} did)."
            )
    more = len(lines) - MOST_LISTED
    return bullets(lines[:MOST_LISTED] + ([f"and {more} more"] if more > 0 else [])) if lines else ""


def tuning_curve(context: Context) -> Section | None:
    """Return the best validation so far against the number of levels tried; None where no setting is tuned in a range."""
    if not context.experiment.ranges:
        return None
    curves = estimate_tuning_curves(context.experiment, context.judgement.grid)
    if curves.empty:
        return None
    name = tuned_by(context.experiment).replace("val_", "validation ")
    drawn = with_labels(context.drawn_rows(curves).reset_index(drop=True), context.conditions)
    return figure_section(
        "Tuning curve",
        curve_sentence(curves, context, name),
        "Of the levels in any order, mean over replicates, with a band of 95%; a run that diverged counts as the worst that "
        "finished. It is of the validation examples that levels are chosen by, so that it flatters every condition.",
        context.excerpt.drawn_by,
        figure="tuning_curve",
        alt=f"Expected best {name} against the number of levels tried.",
        draw=partial(draw_tuning_curve, drawn, context.colours, f"best {name}"),
    )


def curve_sentence(curves: pd.DataFrame, context: Context, name: str) -> str:
    """Say what the second half of the budget gains, and from which budget on the best condition is ahead."""
    sign, factor, unit = (1.0, 100.0, " pp") if name.endswith("accuracy") else (-1.0, 1.0, "")
    positions, budget = sorted(set(curves["position"])), int(curves["budget"].max())
    labels = [context.conditions[p].label for p in positions]
    ordered = curves.sort_values(["budget", "position"])
    good_BC = sign * ordered["mean"].to_numpy(dtype=float).reshape(budget, len(positions))
    half = max(1, budget // 2)
    gains = factor * (good_BC[-1] - good_BC[half - 1])
    most, least = int(gains.argmax()), int(gains.argmin())
    text = f"From {half} to {budget} levels the expected best {name} still gains {gains[most]:.3g}{unit}"
    if len(positions) == 1:
        return f"{text}."
    text += f" with {labels[most]}, the most, and {gains[least]:.3g}{unit} with {labels[least]}, the least."
    ahead = good_BC.argmax(axis=1)
    best = int(ahead[-1])
    behind = np.flatnonzero(ahead != best)
    if len(behind):
        return f"{text} {labels[best]} has the best after all of them, and is ahead from {behind.max() + 2} levels on."
    return f"{text} {labels[best]} is ahead whatever the number of levels."


def draw_tuning_curve(curves: pd.DataFrame, colours: ConditionColours, title: str) -> Figure:
    """Return the figure: a line for each condition."""
    with theme.style():
        figure, (ax,) = theme.new(3.2)
        for condition, line in curves.groupby("condition_id", sort=False):
            width = 1.3 if colours.is_detailed else 0.8
            colour, dash = colours.colours[str(condition)], colours.dash(str(condition))
            theme.line_with_band(ax, line, "budget", colour, width, band=colours.is_detailed, linestyle=dash)
        ends = [*floats(curves["low"]), *floats(curves["high"])] if colours.is_detailed else []
        scales.put_limits(ax, "y", scales.limits(floats(curves["mean"]), ends, log=False, clip=False))
        ax.set_xlabel("levels tried")
        ax.set_ylabel(title)
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        theme.legend_below(figure, colours.handles(), colours.title if len(colours.entries) > 1 else "")
    return figure


def regret_sentence(experiment: Experiment, observed: pd.DataFrame, conditions: Sequence[Condition] = ()) -> str:
    """Say what the choice by folds loses against the best refit, and that of a single split; nothing where neither is known.

    A mean over conditions within the replicate, with a t interval over replicates.
    """
    if not has_regret(experiment):
        return ""
    what = "accuracy" if experiment.has_classes else "loss"
    factor, unit = (1.0, "") if what == "loss" else (100.0, " pp")
    choosers = {
        f"regret_{what}": f"all {experiment.folds} folds choose",
        f"split_regret_{what}": "the first fold alone chooses",
    }
    parts = []
    for name, chooser in choosers.items():
        means = observed.groupby("replicate")[name].agg(lambda values: values.mean(skipna=False)).dropna()
        frame = pd.DataFrame({"all": 0, "value": means.to_numpy(dtype=float)})
        if frame.empty:
            continue
        together = pd.Series([largest_overlap(name, conditions)])
        row = intervals(frame, ["all"], pd.Series([0.0]), metric(name).limits, together).iloc[0]
        spread = factor * float(row["high"] - row["low"]) / 2
        mean, low, high = (fixed(factor * float(row[k]), spread) for k in ("mean", "low", "high"))
        within = f"95% interval {low} to {high}, " if row["n"] > 1 else ""
        parts.append(f"{mean}{unit} where {chooser} ({within}n = {int(row['n'])})")
    if not parts:
        return ""
    over = ", averaged over conditions," if observed["position"].nunique() > 1 else ""
    side = "above the lowest" if what == "loss" else "below the highest"
    return f"Regret: the test {what} of the chosen level is{over} {side} among the refits of its replicate by {'; by '.join(parts)}."


def section(context: Context) -> Section:
    """Return a row for each condition listed: mean ± sd of the main metrics, how many replicates, how many diverged."""
    metrics = [m for m in HEADINGS if m in set(context.estimates["metric"])]
    meaning = f"Mean ± standard deviation over replicates. The gap is {GAPS[context.measure]}."
    if context.stops_early:
        meaning += " Where training stops early, results are those of the best epoch by validation."
        if context.experiment.folds:
            meaning = meaning.removesuffix("by validation.") + (
                "by validation; on all training examples a run takes the mean of its folds' best epochs, rounded."
            )
    lost = "" if _loses_runs(context, context.estimates) else "No run diverged."
    return Section(
        title="Conditions",
        sentences=paragraph(meaning, lost, constant_sentence(context), context.excerpt.listed_by),
        table=_metrics_table(context, context.estimates, {m: HEADINGS[m] for m in metrics}),
        notes=meaning_of_labels(context),
    )


def meaning_of_labels(context: Context) -> str:
    """Return a list of what the labels of listed conditions stand for: the settings that they differ in; nothing where there are none."""
    if LABEL not in context.experiment.factor_names:
        return ""
    listed = [context.conditions[i] for i in context.excerpt.listed]
    # Levels of factors that the listed conditions are crossed with are none of theirs.
    own = {name for row in context.experiment.conditions for name in row}
    names = [name for name in settings_of_labels(listed) if name in own]
    lines = {
        str(c.levels[LABEL]): ", ".join(f"{n}={format_level(c.levels[n])}" for n in names if n in c.levels)
        for c in listed
    }
    told = [f"{label}: {settings}" for label, settings in lines.items() if settings]
    return bullets(told) if told else ""


def constant_sentence(context: Context) -> str:
    """Say what a prediction that looks at no input is worth on the test set; nothing where that is not known."""
    if not context.constants:
        return ""
    if context.measure == "accuracy":
        what = "the most frequent class of the training examples"
        values = {data: f"{value:.4f}" for data, value in context.constants.items()}
        worth = "an accuracy of"
    else:
        what, worth, rmse = "the mean of the training targets", "a loss of", context.means_by_data("constant_rmse")
        values = {
            data: f"{brief(value, 4)}, an RMSE of {brief(rmse[data], 4)}" for data, value in context.constants.items()
        }
    if len(context.experiment.datasets) == 1:
        return f"Always predicting {what} has {worth} {next(iter(values.values()))} on the test set."
    each = "; ".join(f"{printable(data)} {value}" for data, value in values.items())
    return f"Always predicting {what} has {worth} this on the test set: {each}."


def further(context: Context) -> Section | None:
    """Return a table of further metrics of the test set, those of plugins last; None where no run has any, as in older folders."""
    listed = context.observed[context.observed["position"].isin(list(context.excerpt.listed))]
    metrics = [name for name in OF_TEST_SET if listed[name].notna().any()]
    losses = {context.conditions[i].settings.loss for i in context.excerpt.listed}
    if losses == {"cross_entropy"} and "test_log_loss" in metrics:
        metrics.remove("test_log_loss")  # the test loss, which stands above
    own = {f"test_{name}": called for called, name in pieces_of(context.experiment.plugins, own_metrics.KIND).items()}
    headings = {m: OF_TEST_SET[m] for m in metrics} | {
        m: called for m, called in own.items() if m in listed and listed[m].notna().any()
    }
    metrics, failures = list(headings), _metric_failures(context)
    if not metrics:
        return Section(title="Further metrics", notes=bullets(failures)) if failures else None
    estimates = estimate(context.experiment, context.conditions, listed, pd.DataFrame(), metrics)
    definitions = [f"{OF_TEST_SET[m]}: {metric(m).meaning.partition(': ')[2]}" for m in metrics if m in OF_TEST_SET]
    definitions += [
        f"{called}: a metric of {plugin.name}"
        for plugin in context.experiment.plugins
        for called in pieces_of([plugin], own_metrics.KIND)
    ]
    return Section(
        title="Further metrics",
        sentences=paragraph("Of the test set, mean ± standard deviation over replicates.", context.excerpt.listed_by),
        table=_metrics_table(context, estimates, headings),
        notes=bullets([f"{line[0].upper()}{line[1:]}." for line in definitions] + failures),
    )


def _metric_failures(context: Context) -> list[str]:
    """Return a line about each way in which a metric of a plugin failed, with the number of runs that have no number for it."""
    errors = context.runs.loc[context.runs["status"] == "ok", "error"].dropna().astype(str).str.strip()
    counts = errors[errors != ""].str.split("\n").str[0].str[:SHOWN].value_counts()
    lines = [f"{str(error)[:1].upper()}{str(error)[1:]} ({n} run{'s' * (n != 1)})." for error, n in counts.items()]
    return lines[:MOST_LISTED] + [f"And {len(lines) - MOST_LISTED} more, in the table runs."] * (
        len(lines) > MOST_LISTED
    )


def _metrics_table(context: Context, estimates: pd.DataFrame, headings: Mapping[str, str]) -> str:
    """Return a table with a row for each condition listed and a column for each metric."""
    metrics, listed = list(headings), context.excerpt.listed
    loses = _loses_runs(context, estimates)
    estimates = estimates[estimates["position"].isin(list(listed)) & estimates["metric"].isin(metrics)]
    cells = {(r["position"], r["metric"]): r for r in records(estimates)}
    # One number of digits a column, so that it can be read down: by its middle spread, since one run that explodes would
    # take the digits of all others.
    spread = {str(m): _middle(sds) for m, sds in estimates.groupby("metric")["sd"]}
    rows = []
    for i in listed:
        numbers = [_number(cells[i, m]["mean"], cells[i, m]["sd"], spread[m]) for m in metrics]
        some = cells[i, metrics[0]]
        lost = [f"{some['diverged']} of {some['planned']}"] * loses
        rows.append([context.short_label(i), *numbers, str(some["n"]), *lost])
    head = [context.label_heading, *headings.values(), "n", *["diverged"] * loses]
    return table(head, rows, "l" + "r" * (len(head) - 1))


def _loses_runs(context: Context, estimates: pd.DataFrame) -> bool:
    """Return whether a run of a condition that is listed diverged: else a column of zeros is left out."""
    return bool((estimates.loc[estimates["position"].isin(list(context.excerpt.listed)), "diverged"] > 0).any())


def _middle(sds: pd.Series[float]) -> float:
    """Return the median of the spreads that are known and not 0; where there is none, the largest."""
    positive = sds[sds > 0]
    return float(sds.max() if positive.empty else positive.median())


def _number(mean: float, sd: float, spread: float) -> str:
    """Return mean ± sd with the digits of its column, or with its own where it is of another order."""
    if abs(mean) >= HUGE or sd >= HUGE:
        return scientific(mean, sd)
    return with_spread(mean, sd, sd if sd >= FAR * spread > 0 else spread)


def replicates(context: Context) -> Section | None:
    """Return the outcome of the replicates of the conditions that are drawn; None where no run has one.

    Of networks that are not trained it is what chance makes it: that is said, and not drawn.
    """
    estimates = context.estimates[context.estimates["metric"] == context.outcome]
    if estimates["mean"].isna().all():
        return None
    if not context.is_trained:
        return Section(title="Replicates", sentences=UNTRAINED.format(measure=context.measure))
    seen = context.observed[["position", "replicate", context.outcome]].rename(columns={context.outcome: "value"})
    log = (
        context.measure == "loss"
        and bool((seen["value"].dropna() > 0).all())
        and scales.is_wide(floats(estimates["mean"]))
    )
    if log:
        overlaps = by_position("test", context.conditions)
        estimates = as_geometric(
            estimates.join(geometric_intervals(seen.dropna(), ["position"], overlaps), on="position")
        )
    title = f"test {context.measure}"
    drawn, dots = context.ranked_rows(estimates), context.ranked_rows(seen[seen["replicate"] < MOST_DOTS])
    return figure_section(
        "Replicates",
        spread_sentence(context.estimates[context.estimates["metric"] == context.outcome]),
        "The axis is log, and means in the figure are geometric." if log else "",
        f"Dots are the first {MOST_DOTS} replicates." if context.experiment.replicates > MOST_DOTS else "",
        "Thin lines join the runs of one replicate." if joins_rows(drawn, dots) else "",
        context.excerpt.drawn_by,
        figure="replicates",
        alt=f"{title.capitalize()} of every replicate by condition.",
        draw=partial(replicate_rows, drawn, dots, context.colours, title, constant=context.constant, log=log),
    )


def spread_sentence(estimates: pd.DataFrame) -> str:
    """Say how much replicates of one condition differ in one metric, and how much conditions do."""
    spread = floats(estimates["sd"].dropna())
    if not spread:
        return "There is one replicate per condition, so that no spread is known."
    name = str(estimates["metric"].iloc[0])
    unit, factor, digits = (" pp", 100, ".2f") if metric(name).is_accuracy else ("", 1, ".3g")
    low, high = (f"{factor * f(spread):{digits}}{unit}" for f in (min, max))
    within = f"Replicates of one condition have a standard deviation of {low if low == high else f'{low} to {high}'}"
    means = floats(estimates["mean"].dropna())
    span = (
        f"; the means of conditions span {factor * (max(means) - min(means)):{digits}}{unit}" if len(means) > 1 else ""
    )
    return f"{within} in {name.replace('_', ' ')}{span}."
