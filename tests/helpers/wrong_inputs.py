"""Forty wrong files and arguments: what is given, and the place, the value and the way forward that the answer must have.

`python tests/helpers/wrong_inputs.py` writes what is printed of each into `docs/wrong_input.md`.
"""

from __future__ import annotations

import shlex
import tempfile
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

from bad_specs import HERE
from click.testing import CliRunner, Result

from mlpbench.cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "wrong_input.md"
TABLE = "size,price\n" + "".join(f"{i},{2.5 * i}\n" for i in range(20))
TOP = "name: mine\nquestion: Which?\n"
DIGITS = TOP + "dataset: digits\n"
VARIED = DIGITS + "factors: {width: [8, 16]}\n"


@dataclass(frozen=True, kw_only=True)
class WrongInput:
    """What is given, and what the answer must have.

    Attributes:
        file: the text of `mine.yaml`, with the mark of `bad_specs` where the error is.
        command: the arguments of mlpbench.
        place: what is named as the place; of a file, what follows its name.
        value: the value that is wrong, as the answer names it.
        way: words that say what to do.

    """

    command: str = "plan mine.yaml"
    file: str = VARIED
    place: str = ""
    value: str
    way: str

    @property
    def is_of_file(self) -> bool:
        """Whether the error is in the file."""
        return HERE in self.file

    @property
    def where(self) -> str:
        """The place that the answer must name."""
        if not self.is_of_file:
            return self.place
        before = self.file[: self.file.index(HERE)]
        return f"mine.yaml:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"

    def answer(self) -> Result:
        """Run the command in a folder with the file, a table and a good file."""
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            Path("mine.yaml").write_text(self.file.replace(HERE, ""))
            Path("good.yaml").write_text(VARIED)
            Path("table.csv").write_text(TABLE)
            return CliRunner().invoke(main, shlex.split(self.command), prog_name="mlpbench")


def _file(text: str, value: str, way: str) -> WrongInput:
    return WrongInput(file=text, value=value, way=way)


def _claim(form: str, value: str, way: str) -> WrongInput:
    return _file(VARIED + f"claims:\n  - id: a\n    says: so\n    {form}\n", value, way)


def _argument(command: str, place: str, value: str, way: str) -> WrongInput:
    return WrongInput(command=command, place=place, value=value, way=way)


FILES = [
    _file(DIGITS + "fixed: {§learning_rate: 0.1}\nfactors: {width: [8, 16]}\n", "'learning_rate'", "did you mean 'lr'?"),
    _file(DIGITS + "factors: {§hidden: [8, 16]}\n", "'hidden'", "did you mean 'width'?"),
    _file(DIGITS + "fixed: {§dropout_rate: 0.1}\n", "'dropout_rate'", "did you mean 'dropout'?"),
    _file(VARIED + "§num_epochs: 3\n", "'num_epochs'", "settings stand under fixed"),
    _file(VARIED + "§n_seeds: 3\n", "'n_seeds'", "did you mean 'replicates'?"),
    _file(DIGITS + "fixed: {optimizer: §Adam}\n", "'Adam'", "did you mean 'adam'?"),
    _file(DIGITS + "fixed: {init: §kaiming}\n", "'kaiming'", "did you mean 'he_normal'?"),
    _file(DIGITS + "fixed: {lr: §-0.1}\n", "-0.1", "mlpbench explain lr"),
    _file(DIGITS + "fixed: {dropout: §1.5}\n", "1.5", "mlpbench explain dropout"),
    _file(DIGITS + "fixed: {batch_size: §0}\n", "0", "mlpbench explain batch_size"),
    _file(DIGITS + "factors: {depth: [1, §deep]}\n", "'deep'", "mlpbench explain depth"),
    _file(DIGITS + "factors: {width: §64}\n", "64", "must be a list"),
    _file(VARIED + "replicates: §five\n", "'five'", "mlpbench explain replicates"),
    _file(VARIED + "§replicate: 3\n", "'replicate'", "did you mean 'replicates'?"),
    _file(TOP + "dataset: §digts\n", "'digts'", "did you mean 'digits'?"),
    _file(TOP + "dataset: {file: §tabel.csv, target: price}\n", "tabel.csv", "table.csv"),
    _file(TOP + "dataset: {file: table.csv, target: §prise}\n", "'prise'", "did you mean 'price'?"),
    _file("name: §my file\nquestion: Which?\ndataset: digits\n", "'my file'", "mlpbench explain name"),
    _file("§question: Which?\ndataset: digits\n", "none", "mlpbench explain name"),
    _claim("compare: {metric: §test_acc, a: {width: 16}, b: {width: 8}, expect: greater}", "'test_acc'", "did you mean 'test_accuracy'?"),
    _claim("compare: {metric: test_accuracy, a: {width: §32}, b: {width: 8}, expect: greater}", "32", "names one of its levels [8, 16]"),
    _claim("compare: {metric: test_accuracy, a: {width: 16}, b: {width: 8}, expect: §bigger}", "'bigger'", "did you mean 'greater'?"),
    _claim("trend: {metric: test_accuracy, factor: §units, expect: rises}", "'units'", "did you mean 'width'?"),
    _claim("§bond: {metric: test_accuracy, above: 0.9}", "'bond'", "did you mean 'bound'?"),
    _file(DIGITS + "fixed:\n§\tlr: 0.1\n", "'\\t'", "indent with spaces, not tabs"),
    _file(DIGITS + "fixed: {lr: 0.1\nseed§: 3\n", "got ':'", "braces end with '}'"),
    _file("name: mine\nquestion: Which§: this?\ndataset: digits\n", "mapping values", "needs quotes"),
    _file(VARIED + "§factors: {depth: [1, 2]}\n", "'factors' twice", "take one of them out"),
]  # fmt: skip
ARGUMENTS = [
    _argument("plan mien.yaml", "mien.yaml", "not found", "did you mean 'mine.yaml'?"),
    _argument("run widht", "widht", "not found", "did you mean 'width', which comes with mlpbench?"),
    _argument("run good.yaml --set widht=8", "--set widht=8", "'widht'", "did you mean 'width'?"),
    _argument("run good.yaml --set lr", "--set lr", "'lr'", "must be KEY=VALUE"),
    _argument("run good.yaml --workers 0", "--workers", "0", "must be a whole number of at least 1"),
    _argument("run good.yaml --threds 2", "--threds", "No such option", "'--threads'"),
    _argument("rn good.yaml", "'rn'", "No such command", "Did you mean 'run'?"),
    _argument("run good.yaml --rerun some", "--rerun", "'some'", "is not one of 'failed', 'stale', 'all'"),
    _argument("run good.yaml --numerics exact", "--numerics", "'exact'", "must be one of fast, portable, universal"),
    _argument("report good.yaml", "good.yaml", "is not a results folder", "`mlpbench run SPEC` writes one"),
    _argument("claims mine", "mine", "is not a results folder", "`mlpbench run SPEC` writes one"),
    _argument("explain qwertz", "'qwertz'", "nothing is called", "alone lists what there is"),
]  # fmt: skip
FORTY = [*FILES, *ARGUMENTS]


def page() -> str:
    """Return what is given and what is printed of all, in Markdown."""
    head = (
        "# Forty wrong files and arguments\n\nWhat mlpbench prints where a file or an argument is wrong: the place, the line with a caret, the rule, the value, "
        "and a way forward.\nEverything ends with status 2, and nothing is written. `python tests/helpers/wrong_inputs.py` writes this page, and a test compares it.\n"
    )
    blocks = []
    for n, given in enumerate(FORTY, 1):
        shown = f"```yaml\n{given.file.replace(HERE, '')}```\n\n" if given.is_of_file else ""
        printed = given.answer().stderr.rstrip()
        blocks.append(f"## {n}\n\n{shown}```console\n$ mlpbench {given.command}\n{printed}\n```\n")
    return "\n".join([head, *blocks])


if __name__ == "__main__":
    PAGE.write_text(page())
