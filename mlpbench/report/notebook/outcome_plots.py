"""Figures of an outcome for notebooks and scripts: those of the report, as matplotlib's axes, shown where pyplot shows others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlpbench.base.errors import InputError
from mlpbench.base.escapes import printable
from mlpbench.base.models import unknown
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.report.answer import claim_figure
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.figures.text_room import settle, wrap
from mlpbench.report.sections import learning_curves, verdicts

# Points of the heading above a figure.
HEADING = 9.0


class OutcomePlots:
    """Draws what a report shows, and returns the axes, from which further drawing can go on.

    Each figure belongs to pyplot: a notebook shows it below its cell, `plt.show()` in a window, and `plt.savefig` writes the last one.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def curves(self) -> Sequence[Axes]:
        """Return loss, and accuracy where targets are classes, against epochs: means of conditions, with 95% intervals.

        Raises InputError where no network was trained.
        """
        context = self._context
        if not learning_curves.has_curves(context):
            raise InputError(f"curves need a run that was trained, got none in {context.experiment.name}")
        estimates = context.curve_estimates
        return _shown(learning_curves.draw(estimates, context.colours, context.constant, context.measure))

    def pairs(self, claim: str | None = None) -> Sequence[Axes]:
        """Return, of each claim, both conditions with a line for each replicate, and the number that was judged.

        `claim` is the id of a single one. Raises InputError for an id that there is not, and where nothing is estimated.
        """
        drawn = [v for v in self._of(claim) if claim_figure.has_figure(v)]
        if not drawn:
            raise InputError(f"pairs need a claim with an estimate, got none in {self._context.experiment.name}")
        return [ax for verdict in drawn for ax in _shown(_headed(claim_figure.draw(verdict), verdict))]

    def claims(self, claim: str | None = None) -> Sequence[Axes]:
        """Return a strip for each claim: its estimate, its interval, the bound, and in which direction it holds.

        `claim` is the id of a single one. Raises InputError for an id that there is not, and where nothing is estimated.
        """
        drawn = verdicts.estimated(self._of(claim))
        if not drawn:
            raise InputError(f"claims need an estimate to be drawn, got none in {self._context.experiment.name}")
        return _shown(verdicts.draw(drawn))

    def _of(self, claim: str | None) -> Sequence[Verdict]:
        """Return the verdict on a claim, or those on all; raise InputError where there is no claim of that id."""
        every = self._context.verdicts
        if claim is None:
            return every
        found = [verdict for verdict in every if verdict.claim.id == claim]
        if not found:
            raise InputError(unknown("claim", claim, [verdict.claim.id for verdict in every]))
        return found


def _headed(figure: Figure, verdict: Verdict) -> Figure:
    """Write above the figure of a claim what it says, and its verdict."""
    with theme.style():
        text = wrap(printable(f"{verdict.decision.capitalize()}: {verdict.claim.says}"), theme.POINTS - 10, HEADING)
        figure.suptitle(text, fontsize=HEADING, x=0.01, ha="left")
        figure.set_figheight(figure.get_figheight() + 0.2 * (1 + text.count("\n")))
    return figure


def _shown(figure: Figure) -> Sequence[Axes]:
    """Return the axes of a figure that is laid out, and hand it to pyplot, which shows it as any other."""
    with theme.style():
        settle(figure)

    def given(*_arguments: Any, **_options: Any) -> Figure:
        return figure

    # Pyplot asks a class for a new figure: this one is there already.
    plt.figure(FigureClass=given)  # type: ignore[arg-type]
    return list(figure.axes)
