"""Does a wider hidden layer read digits better? An experiment that is written, run and drawn in Python."""

from matplotlib import pyplot as plt

import mlpbench

experiment = mlpbench.Experiment(
    name="widths",
    question="Does a wider hidden layer read handwritten digits better?",
    dataset="digits",
    fixed={"depth": 1, "init": "he_normal", "lr": 0.2, "batch_size": 64, "epochs": 10},
    factors={"width": (4, 16, 64)},
    replicates=8,
    claims=[
        {
            "id": "wider-is-better",
            "says": "64 hidden units read digits better than 4, by more than 2 percentage points.",
            "compare": {
                "metric": "test_accuracy",
                "a": {"width": 64},
                "b": {"width": 4},
                "expect": "greater",
                "margin": 0.02,
            },
        }
    ],
)
outcome = mlpbench.run(experiment, workers=2)
print(outcome)
print(outcome.verdicts[["claim", "verdict", "n"]].to_string(index=False))
print(outcome.tidy().groupby("width")["test_accuracy"].mean().round(2).to_string())
outcome.plot.curves()
plt.savefig("curves.png")
