"""What a report rests on: verdicts judged once, the rows they rest on, and the estimates that sections share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from mlpbench.evidence.estimates import axis_estimates, excerpt, layer_estimates
from mlpbench.evidence.estimates.excerpt import MOST_DOTS, Excerpt
from mlpbench.evidence.estimates.layer_estimates import Layers
from mlpbench.evidence.estimates.observe import DIVERGED, OK, estimate, estimate_curves
from mlpbench.evidence.estimates.overlap import by_position
from mlpbench.evidence.estimates.paired_differences import Difference, worse_than
from mlpbench.evidence.estimates.predictions import Predictions, read_predictions
from mlpbench.evidence.frames import is_among, places, records
from mlpbench.evidence.judging.claim_values import Curves, read_curves
from mlpbench.evidence.judging.claim_verdicts import RUN_COLUMNS as JUDGED_COLUMNS
from mlpbench.evidence.judging.interim_analysis import Judgement
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.evidence.training_warnings import Trained, TrainingWarning, training_warnings
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics.scores import CURVE_SCORES, SCORES
from mlpbench.experiment.metrics.set_scores import SET_SCORES
from mlpbench.experiment.spec import Experiment
from mlpbench.report.section import paragraph
from mlpbench.results.examples import TestSet
from mlpbench.results.folders import VerifiedRun
from mlpbench.results.plugin_figures import StoredFigure

if TYPE_CHECKING:
    from mlpbench.report.figures.condition_colours import ConditionColours

# What the runs are provenance of, in words, and the column of the table `runs` that has it.
PROVENANCE = {
    "mlpbench": "env_mlpbench", "commit": "env_commit", "Python": "env_python", "torch": "env_torch",
    "NumPy": "env_numpy", "BLAS": "env_blas", "processor": "env_cpu", "instructions": "env_capability", "device": "env_device",
    "driver": "env_driver", "GPU libraries": "env_gpu_libraries", "numerics": "env_numerics", "threads per worker": "env_threads",
}  # fmt: skip
# Scores of the test set beside loss and accuracy, by their columns, and what headings call them.
FURTHER_SCORES = {f"test_{name}": f"test {score.title}" for name, score in SCORES.items() if name not in CURVE_SCORES}
# Metrics of the whole test set, which have a section of their own.
OF_TEST_SET = {f"test_{name}": score.title for name, score in SET_SCORES.items()}
# The columns of the table `runs` that a report reads.
RUN_COLUMNS = [*JUDGED_COLUMNS, "error", "diverged_at_step", "env_dirty", *PROVENANCE.values()]


@dataclass(frozen=True, kw_only=True)
class Context:
    """An experiment, judged, with everything that the sections of its report may read.

    What several sections need is computed once, when it is first asked for; nothing here loads a plotting library before
    `colours` is asked for.

    Args:
        experiment: what was asked.
        judgement: the verdicts, and the rows they rest on.
        stored: the rows of the table `runs` that belong to the grid, with `RUN_COLUMNS`.
        curves: the table `curves`, or a function that reads it for some runs.
        layers: reads the table `layers` for some runs; None where there is none.
        test_set: reads predictions, labels and images of the test set; None where there are none.
        verifications: how far each run that was trained again agreed with its rows.
        own_figures: what figures of plugins came to.

    """

    experiment: Experiment
    judgement: Judgement
    stored: pd.DataFrame
    curves: Curves
    layers: Layers | None = None
    test_set: TestSet | None = None
    verifications: Sequence[VerifiedRun] = ()
    own_figures: Sequence[StoredFigure] = ()

    @property
    def verdicts(self) -> Sequence[Verdict]:
        """The verdict on each claim, in the order of the experiment file."""
        return self.judgement.verdicts

    @property
    def conditions(self) -> Sequence[Condition]:
        """The scientific conditions, each with its tuned settings."""
        return self.judgement.grid.conditions

    @property
    def observed(self) -> pd.DataFrame:
        """A row for each planned run: its position among the conditions, its replicate, its status and its metrics."""
        return self.judgement.grid.observed

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The stored rows of all runs that the verdicts rest on, those of folds and of losing tunings included."""
        grid = self.judgement.grid
        if grid.is_whole_grid:
            return self.stored
        return self.stored[places(self.stored["run_id"], grid.run_ids) >= 0]

    @cached_property
    def statuses(self) -> Mapping[str, int]:
        """The number of those runs by how they ended."""
        return {str(status): int(n) for status, n in self.runs["status"].value_counts().items()}

    @property
    def stops_early(self) -> bool:
        """Whether any runs may stop early."""
        return any(c.settings.stops_early for c in self.conditions)

    @property
    def is_trained(self) -> bool:
        """Whether any condition takes a step of training: what others have as a test error is chance."""
        return any(c.settings.steps > 0 for c in self.conditions)

    @property
    def measure(self) -> str:
        """What a network is judged by: `accuracy`, or `loss` where the target is a number."""
        return "accuracy" if self.experiment.has_classes else "loss"

    @property
    def outcome(self) -> str:
        """The metric that says how good a condition is."""
        return f"test_{self.measure}"

    @cached_property
    def constant(self) -> float | None:
        """The mean outcome of a prediction that looks at no input, where conditions share one data set; see `constants`."""
        return next(iter(self.constants.values()), None) if len(self.experiment.datasets) == 1 else None

    @cached_property
    def constants(self) -> Mapping[str, float]:
        """The mean outcome of a prediction that looks at no input, by data set.

        Left out where it is not known, as in older folders, or where conditions have different losses, of which it would be a mixture.
        """
        return self.means_by_data(f"constant_{self.measure}")

    def means_by_data(self, name: str) -> Mapping[str, float]:
        """Return the mean of a metric over the runs of each data set that have it; nothing of a loss where losses differ."""
        if self.measure == "loss" and len({c.settings.loss for c in self.conditions}) > 1:
            return {}
        words = {source.facts.fingerprint: word for word, source in self.experiment.datasets.items()}
        word = self.observed["position"].map(lambda i: words[self.conditions[i].data.fingerprint])
        means = self.observed[name].groupby(word, sort=False).mean().dropna()
        return {str(data): float(mean) for data, mean in means.items()}

    @cached_property
    def estimates(self) -> pd.DataFrame:
        """Mean, standard deviation and interval of the main metrics of each condition."""
        main = dict.fromkeys(
            ["train_loss", "test_loss", *(f"{part}_{self.measure}" for part in ("train", "test", "gap"))]
        )
        further = [name for name in FURTHER_SCORES if self.observed[name].notna().any()]
        stops = ["epochs_taken", "best_epoch"] * self.stops_early
        return self.estimated([*main, *[f"val_{self.measure}"] * self.experiment.validates, *stops, *further])

    def estimated(self, metrics: Sequence[str]) -> pd.DataFrame:
        """Return mean, standard deviation and interval of some metrics of each condition."""
        return estimate(self.experiment, self.conditions, self.observed, pd.DataFrame(), metrics)

    @cached_property
    def excerpt(self) -> Excerpt:
        """Which conditions tables list and figures draw."""
        return excerpt.choose(len(self.conditions), self.estimates)

    @cached_property
    def drawn_by(self) -> str:
        """Says which replicates and conditions figures draw of each replicate's numbers; empty where all are drawn."""
        some = f"The figure shows the first {MOST_DOTS} replicates." if self.experiment.replicates > MOST_DOTS else ""
        return paragraph(some, self.excerpt.drawn_by)

    def varied_settings(self, names: Sequence[str]) -> list[str]:
        """Return which of some settings differ between conditions with a hidden layer."""
        hidden = [c.settings for c in self.conditions if c.settings.n_hidden > 0]
        return [name for name in names if len({getattr(s, name) for s in hidden}) > 1]

    @cached_property
    def drawn_conditions(self) -> list[Condition]:
        """The conditions that figures draw."""
        return [self.conditions[i] for i in self.excerpt.drawn]

    @property
    def label_heading(self) -> str:
        """The heading of a column with a condition in each row: the factor, where there is one."""
        names = self.experiment.factor_names
        return names[0] if len(names) == 1 else "condition"

    def short_label(self, position: int) -> str:
        """Return a condition's level where there is one factor, else its label."""
        label = self.conditions[position].label
        return label.removeprefix(f"{self.label_heading}=")

    def drawn_rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a frame by position that are about conditions that figures draw."""
        return frame if self.excerpt.is_whole else frame[frame["position"].isin(list(self.excerpt.drawn))]

    def ranked_rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Do as `drawn_rows` does, with positions counted among the conditions that are drawn, in their order."""
        place = {position: i for i, position in enumerate(self.excerpt.drawn)}
        drawn = frame[frame["position"].isin(list(place))]
        return drawn.assign(position=drawn["position"].map(place)).sort_values("position", kind="stable")

    @cached_property
    def colours(self) -> ConditionColours:
        """The colours and the names of the conditions that are drawn."""
        from mlpbench.report.figures.condition_colours import condition_colours

        return condition_colours(self.experiment, self.drawn_conditions)

    @cached_property
    def curve_points(self) -> pd.DataFrame:
        """The table `curves` of the runs of the conditions that are drawn."""
        return read_curves(self.curves, list(self.drawn_rows(self.observed)["run_id"]))

    @cached_property
    def curve_estimates(self) -> pd.DataFrame:
        """Mean and interval of loss and accuracy at each point of the curves that are drawn."""
        return estimate_curves(self.experiment, self.conditions, self.drawn_rows(self.observed), self.curve_points)

    @cached_property
    def errors(self) -> axis_estimates.Errors:
        """Train and test error of each condition, along the factor that makes an axis if there is one."""
        return axis_estimates.errors(self.experiment, self.conditions, self.observed, self.estimates, self.excerpt)

    @cached_property
    def warnings(self) -> Sequence[TrainingWarning]:
        """What a supervisor would point at in the conditions that are drawn."""
        return training_warnings(
            Trained(
                experiment=self.experiment,
                conditions=self.conditions,
                observed=self.drawn_rows(self.observed),
                curves=self.curve_points,
                tuning=self.judgement.grid.tuning,
            )
        )

    @cached_property
    def layer_rows(self) -> pd.DataFrame:
        """The table `layers` of the conditions that are drawn, without weights, positions counted among those."""
        columns = ["act_mean", "act_var", "grad_norm", "forward_gain", "backward_gain"]
        return self.read_layers(list(self.excerpt.drawn), columns)

    def read_layers(self, positions: Sequence[int], columns: Sequence[str], *, single: bool = False) -> pd.DataFrame:
        """Return some columns of the table `layers` of some conditions; no rows where there is no such table.

        Args:
            positions: which conditions; in the rows, positions are counted in this order.
            columns: which numbers of a layer.
            single: read one run of each condition: the first that finished, else the first that diverged.

        """
        if self.layers is None:
            return pd.DataFrame(columns=["position", *columns])
        place = {position: i for i, position in enumerate(positions)}
        runs = self.observed[self.observed["position"].isin(list(place))]
        if single:
            ended = runs[runs["status"].isin([OK, DIVERGED])].assign(late=runs["status"] != OK)
            ended = ended.sort_values(["position", "late", "replicate"], kind="stable")
            runs = ended.drop_duplicates("position").assign(replicate=0)
        runs = runs.assign(position=runs["position"].map(place))
        ends = self.experiment.probes is None or math.inf in self.experiment.probes
        conditions = [self.conditions[i] for i in positions]
        return layer_estimates.measured(runs, conditions, self.layers, columns, ends=ends)

    @cached_property
    def runs_without_layers(self) -> str:
        """How many of the finished runs whose layers are drawn have no numbers of them, in words; nothing where all have."""
        observed = self.drawn_rows(self.observed)
        wanted = (observed["status"] == OK) & (observed["replicate"] < MOST_DOTS)
        finished = observed.loc[wanted, "run_id"]
        lacking = int((~is_among(finished, self.layer_rows["run_id"])).sum()) if "run_id" in self.layer_rows else 0
        if not lacking:
            return ""
        return f"{lacking} of {len(finished)} finished runs have no numbers of layers: this folder was trimmed."

    def overlaps_of_training(self, positions: Sequence[int] | None = None) -> pd.Series[float]:
        """Return how far replicates are from independent in what is measured in training, of all conditions or some."""
        some = self.conditions if positions is None else [self.conditions[i] for i in positions]
        return by_position("train", some)

    @cached_property
    def best(self) -> int | None:
        """The position of the condition with the best mean outcome, None where none has one.

        It is chosen among the conditions in which no run diverged or failed, among all where each has one that did.
        """
        rows = self.estimates[self.estimates["metric"] == self.outcome].dropna(subset=["mean"])
        sound = rows[(rows["diverged"] == 0) & (rows["failed"] == 0)]
        rows = rows if sound.empty else sound
        if rows.empty:
            return None
        sign = -1.0 if self.measure == "accuracy" else 1.0
        return int(min(records(rows), key=lambda r: sign * float(r["mean"]))["position"])

    @cached_property
    def best_predictions(self) -> Predictions | None:
        """The predictions of the best condition; None where they are not known, or where no condition can be the best.

        None is the best where the target is a number, where conditions are the random streams that vary one at a time, and where
        they are of several data sets.
        """
        alike = not self.experiment.one_at_a_time and len(self.experiment.datasets) == 1
        if self.test_set is None or self.best is None or self.measure != "accuracy" or not alike:
            return None
        return read_predictions(self.test_set, self.conditions[self.best].data, self.observed, self.best)

    def worse_than(self, reference: int, positions: Sequence[int], name: str) -> dict[int, Difference]:
        """Return by how much each condition is worse than a reference in one metric, replicate by replicate."""
        return worse_than(self.experiment, self.conditions, self.observed, name, reference, positions)
