"""Experiment files that are wrong, each with what its refusal must say and where it must point."""

from __future__ import annotations

from dataclasses import dataclass

HEAD = "name: bad\nquestion: Is it?\ndataset: fashion_mnist\n"
GOOD = HEAD + "fixed: {train_size: 100, epochs: 1}\nfactors: {width: [4, 8]}\nreplicates: 2\n"
# Stands in a text where the error should point, and is taken out before the text is written.
HERE = "§"


def claim(form: str) -> str:
    return GOOD + f"claims:\n  - {{id: c, says: It is so., {form}}}\n"


@dataclass(frozen=True)
class Bad:
    """A text that is wrong, and what must be said of it."""

    name: str
    text: str
    says: tuple[str, ...]

    @property
    def place(self) -> str:
        """Line and column of the mark; the file alone where there is none."""
        if HERE not in self.text:
            return ""
        before = self.text[: self.text.index(HERE)]
        return f":{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def bad(name: str, text: str, *says: str) -> Bad:
    return Bad(name, text, says)


TUNED = HEAD + "validation: 0.2\nnuisance: "
FILES = [
    bad("unknown-key", GOOD + "§replicate: 3", "unknown key 'replicate'; did you mean 'replicates'?"),
    bad("setting-of-another-library", HEAD + "fixed: {§learning_rate: 1}", "unknown setting 'learning_rate'; did you mean 'lr'?"),
    bad("unknown-setting", HEAD + "fixed: {§widht: 8}", "unknown setting 'widht'; did you mean 'width'?"),
    bad("unknown-factor", HEAD + "factors:\n  lr: [1, 2]\n  §actvation: [relu]", "unknown setting 'actvation'; did you mean 'activation'?"),
    bad("misspelt-level", HEAD + "fixed: {activation: §rleu}", "activation must be one of identity, relu", "got 'rleu'; did you mean 'relu'?"),
    bad("dropout", HEAD + "fixed: {dropout: §1.2}", "dropout must be a number in [0, 1]", "got 1.2"),
    bad("width-0", HEAD + "factors: {width: [8, §0]}", "width must be a whole number of at least 1, got 0"),
    bad("depth", HEAD + "fixed: {depth: §-1}", "depth must be a whole number in [0, 10000], got -1"),
    bad("depth-huge", HEAD + "fixed: {depth: §100000000000000}", "depth must be a whole number of at most 10000"),
    bad("train-size", HEAD + "fixed: {train_size: §60001}", "train_size must be at most 60000, what fashion_mnist has, got 60001"),
    bad("batch-size-0", HEAD + "fixed: {batch_size: §0}", "batch_size must be a whole number of at least 1 or 'full', got 0"),
    bad("lr-word", HEAD + "fixed: {lr: §fast}", "lr must be a number above 0, got 'fast'"),
    bad("lr-inf", HEAD + "fixed: {lr: §.inf}", "lr must be a number above 0, got inf"),
    bad("decay-bias-no", HEAD + "fixed: {decay_bias: §no}", "decay_bias must be true or false, got 'no'"),
    bad("init-unparametrised", HEAD + "fixed: {init: §normal}", "init must be normal with its parameter, written {normal: number}"),
    bad("optimizer-misspelt", HEAD + "fixed: {optimizer: §adm}", "optimizer must be one of sgd, {momentum: number}, ", "got 'adm'; did you mean 'adam'?"),
    bad("momentum", HEAD + "fixed: {optimizer: §{momentum: 1.5}}", "optimizer must be momentum with a parameter that is a number in [0, 1], got {'momentum': 1.5}"),
    bad("betas", HEAD + "fixed: {optimizer: §{adam: {betas: [0.9, 1]}}}", "optimizer must be adam with a parameter 'betas' that is a list of two, each a number in [0, 1), got {'adam': {'betas': [0.9, 1]}}"),
    bad("eps-0", HEAD + "factors: {optimizer: [adam, §{adam: {eps: 0}}]}", "optimizer must be adam with a parameter 'eps' that is a number of at least 1e-30, got {'adam': {'eps': 0}}"),
    bad("optimizer-key", HEAD + "fixed: {optimizer: §{adam: {beta: [0.9, 0.98]}}}", "optimizer must be adam with its parameters, written {adam: {betas: [number, number], eps: number}}, got", "did you mean 'betas'?"),
    bad("nesterov-without-momentum", HEAD + "fixed: {optimizer: §{sgd: {nesterov: true}}}", "optimizer must be sgd with a momentum above 0 where it has nesterov or a dampening, got {'sgd': {'nesterov': true}}"),
    bad("schedule-unparametrised", HEAD + "fixed: {schedule: §step}", "schedule must be step with its parameters, written {step: {every: number, factor: number}}, got 'step'"),
    bad("schedule-key", HEAD + "fixed: {schedule: §{step: {evry: 5, factor: 0.5}}}", "schedule must be step with its parameters, written {step: {every: number, factor: number}}, got {'step': {'evry': 5"),
    bad("schedule-then-warmup", HEAD + "fixed: {schedule: §{warmup: 5, then: {warmup: 3}}}", "schedule must be {warmup: steps, then: another}, of which another is none of warmup, got {'warmup': 5"),
    bad("schedule-then-unknown", HEAD + "fixed: {schedule: §{warmup: 5, then: cosin}}", "did you mean 'cosine'?"),
    bad("schedule-cosine-then", HEAD + "fixed: {schedule: §{cosine: 5, then: constant}}", "schedule must be {warmup: steps, then: another} where one follows another, got {'cosine': 5"),
    bad("warmup-110%", HEAD + "fixed: {schedule: §{warmup: 110%}}", "a share of the steps such as '10%', above 0% and at most 100%, got {'warmup': '110%'}"),
    bad("warmup-0", HEAD + "factors: {schedule: [constant, §{warmup: 0}]}", "schedule must be warmup with a parameter 'steps' that is a whole number of at least 1 or a share of the steps such as '10%', got {'warmup': 0}"),
    bad("class-weights-word", HEAD + "fixed: {class_weights: §balance}", "class_weights must be none, balanced, or a mapping from classes to numbers above 0, got 'balance'; did you mean 'balanced'?"),
    bad("class-weights-0", HEAD + "fixed: {class_weights: §{coat: 0}}", "class_weights must be none, balanced, or a mapping from classes to numbers above 0, got {'coat': 0}"),
    bad("class-weights-empty", HEAD + "fixed: {class_weights: §{}}", "class_weights must be none, balanced, or a mapping"),
    bad("class-weights-list", HEAD + "fixed: {class_weights: §[1, 2]}", "class_weights must be none, balanced, or a mapping"),
    bad("class-weights-unknown", HEAD + "fixed: {class_weights: §{Coot: 2}}", "class_weights must name classes of fashion_mnist (", "got 'Coot'; did you mean 'Coat'?"),
    bad("class-weights-of-numbers", "name: b\nquestion: Is it?\ndataset: polynomial\nfixed: {class_weights: §balanced}", "class_weights must be none where the target is numbers, as in polynomial, got balanced"),
    bad("label-noise", HEAD + "fixed: {label_noise: §1.2}", "label_noise must be a number in [0, 1], got 1.2"),
    bad("label-smoothing", HEAD + "fixed: {label_smoothing: §1.2}", "label_smoothing must be a number in [0, 1], got 1.2"),
    bad("label-smoothing-of-squares", HEAD + "fixed: {loss: mse, label_smoothing: §0.1}", "label_smoothing must be 0 where the loss is mse: it is of cross_entropy, got 0.1"),
    bad("label-smoothing-of-numbers", "name: b\nquestion: Is it?\ndataset: polynomial\nfixed: {label_smoothing: §0.1}", "label_smoothing must be 0 where the loss is squared_error: it is of cross_entropy, got 0.1"),
    bad("bias", HEAD + "fixed: {bias: §none}", "bias must be true or false, got 'none'"),
    bad("residual", HEAD + "factors: {residual: [true, §2]}", "residual must be true or false, got 2"),
    bad("parametrization", HEAD + "fixed: {parametrization: §mu}", "parametrization must be one of standard, {mup: base_width}, got 'mu'; did you mean 'mup'?"),
    bad("mup-0", HEAD + "fixed: {parametrization: §{mup: 0}}", "parametrization must be mup with a parameter 'base_width' that is a whole number of at least 1, got {'mup': 0}"),
    bad("mup-orthogonal", HEAD + "fixed: {parametrization: mup, init: §orthogonal}", "init must be one of normal, default, xavier_uniform,", "where parametrization is mup(64), got 'orthogonal'"),
    bad("mup-l1", HEAD + "fixed: {parametrization: {mup: 32}, l1: §0.1}", "l1 must be 0 where parametrization is mup(32), which has no rule for it, got 0.1"),
    bad("mup-convolutions", HEAD + "fixed: {parametrization: §mup, conv_channels: [4]}", "parametrization must be standard where conv_channels are given, got 'mup(64)'"),
    bad("residual-does-nothing", HEAD + "fixed: {width: 8}\nfactors: {depth: [§1, 2], residual: [false, true]}", "conditions must differ, but 'depth=1, residual=False' and 'depth=1, residual=True' are the same run: residual changes nothing there, as no hidden layer has the width of the one before it"),
    bad("range-kind", TUNED + "{lr: §{log_unifrom: [0.1, 1], levels: 4}}", "the range of lr must be one of log_uniform, uniform, int, choice with its ends, such as {log_uniform: [low, high], levels: N}, got {'log_unifrom': [0.1, 1], 'levels': 4}; did you mean 'log_uniform'?"),
    bad("range-two-kinds", TUNED + "{lr: §{log_uniform: [0.1, 1], uniform: [0, 1], levels: 4}}", "the range of lr must be one of log_uniform, "),
    bad("range-one-end", TUNED + "{lr: {log_uniform: §[0.1], levels: 4}}", "the range of lr must be one of log_uniform, ", "got [0.1]"),
    bad("range-no-levels", TUNED + "{lr: §{log_uniform: [0.1, 1]}}", "a range must say how many points are tried, such as {log_uniform: [low, high], levels: N}; got no levels"),
    bad("range-levels-1", TUNED + "{lr: {log_uniform: [0.1, 1], levels: §1}}", "levels must be a whole number in [2, 10000], how many points are tried, got 1"),
    bad("range-levels-differ", TUNED + "{lr: {log_uniform: [0.1, 1], levels: 4}, l1: {uniform: [0, 1], levels: §5}}", "settings with ranges share their points: levels must be the same, got 5 after 4 for lr"),
    bad("range-outside", TUNED + "{dropout: {uniform: [0, §1.5], levels: 4}}", "dropout must be a number in [0, 1]", "got 1.5"),
    bad("range-turned", TUNED + "{lr: {log_uniform: §[1, 0.1], levels: 4}}", "a range goes from a lower to a higher end, got [1, 0.1]"),
    bad("range-log-0", TUNED + "{l1: {log_uniform: §[0, 0.1], levels: 4}}", "the ends of a log_uniform range must be above 0, got [0, 0.1]; did you mean 'uniform'?"),
    bad("range-of-counts", TUNED + "{width: {uniform: §[8, 16], levels: 4}}", "width is a whole number: write {int: [8, 16], levels: N}, got uniform"),
    bad("range-of-words", TUNED + "{activation: {uniform: §[relu, tanh], levels: 4}}", "uniform is a range of numbers; for activation write {choice: [...], levels: N}, got ['relu', 'tanh']"),
    bad("range-too-many", TUNED + "{depth: {int: [1, 3], levels: §4}}", "levels must be at most the 3 different points that the range of depth has, got 4"),
    bad("range-setting", TUNED + "{§lrr: {uniform: [1, 3], levels: 4}}", "unknown setting 'lrr'; did you mean 'lr'?"),
    bad("range-as-factor", HEAD + "factors: {lr: §{uniform: [1, 3], levels: 4}}", "the levels of factor lr must be a list that is not empty"),
    bad("early-stopping-word", HEAD + "validation: 0.2\nfixed: {early_stopping: §true}", "early_stopping must be none, a number of epochs, or {patience: epochs, min_delta: number, metric: val_loss or val_accuracy}, got true"),
    bad("early-stopping-key", HEAD + "validation: 0.2\nfixed: {early_stopping: §{patence: 3}}", "early_stopping must be none, a number of epochs", "got {'patence': 3}; did you mean 'patience'?"),
    bad("early-stopping-patience", HEAD + "validation: 0.2\nfixed: {early_stopping: §{patience: 0}}", "early_stopping must be early stopping with a parameter 'patience' that is a whole number of at least 1, got {'patience': 0}"),
    bad("early-stopping-metric", HEAD + "validation: 0.2\nfixed: {early_stopping: §{metric: val_los}}", "early_stopping must be early stopping with a metric of val_loss or val_accuracy, got {'metric': 'val_los'}; did you mean 'val_loss'?"),
    bad("early-stopping-without-validation", HEAD + "fixed: {early_stopping: §5}", "early_stopping needs validation examples to go by, which this experiment does not have: add validation: 0.2, for example; got patience(5)"),
    bad("early-stopping-of-numbers", "name: b\nquestion: Is it?\ndataset: polynomial\nvalidation: 0.2\nfixed: {early_stopping: §{metric: val_accuracy}}", "early_stopping must go by val_loss where the target is numbers, as in polynomial, got patience(10,0.0,val_accuracy)"),
    bad("input-noise", HEAD + "fixed: {input_noise: §-0.1}", "input_noise must be a number of at least 0, got -0.1"),
    bad("l1", HEAD + "fixed: {l1: §-1}", "l1 must be a number of at least 0, got -1"),
    bad("batch-norm-of-one", HEAD + "fixed: {norm: batch, batch_size: §1}", "norm batch needs batches of at least 2 examples, since one alone normalised is 0 whatever it is, got batch_size 1; take a larger one, or norm layer"),
    bad("batch-norm-of-one-example", HEAD + "fixed: {norm: batch, train_size: §1}", "norm batch needs batches of at least 2 examples", "got train_size 1; take a larger one, or norm layer"),
    bad("norm", HEAD + "fixed: {norm: §batchnorm}", "norm must be one of none, layer, batch, got 'batchnorm'; did you mean 'batch'?"),
    bad("clip-norm-0", HEAD + "fixed: {clip_norm: §0}", "clip_norm must be a number above 0, or none, got 0"),
    bad("loss-misspelt", HEAD + "fixed: {loss: §mes}", "loss must be one of cross_entropy, naive_cross_entropy, squared_error, mse, got 'mes'; did you mean 'mse'?"),
    bad("precision", HEAD + "fixed: {precision: §float16}", "precision must be one of float32, float64, ", "got 'float16'; did you mean "),
    bad("probes-negative", HEAD + "probes: §[-1]", "probes must be a list of epochs of at least 0, start or end, got [-1]"),
    bad("probes-inf", HEAD + "probes: §[.inf]", "probes must be a list of epochs of at least 0, start or end, got [inf]"),
    bad("probes-huge", HEAD + "probes: §[1" + "0" * 400 + "]", "probes must be a list of epochs of at least 0, start or end, got [1000"),
    bad("probes-word", HEAD + "probes: §start", "probes must be a list of epochs of at least 0, start or end, got 'start'"),
    bad("probes-misspelt", HEAD + "probes: §[strat, end]", "probes must be a list of epochs of at least 0, start or end, got ['strat', 'end']"),
    bad("vary-noise", HEAD + "vary: [init, §nois]", "must be 'init', 'order', 'dropout', 'split' or 'noise', got 'nois'; did you mean 'noise'?"),
    bad("repeated-level", HEAD + "factors: {lr: [0.1, §1e-1]}", "the levels of a factor must differ, got 0.1 twice for lr"),
    bad("two-roles", HEAD + "fixed: {lr: 1}\nfactors: {§lr: [1, 2]}", "a setting has one role, but lr stands under fixed and factors"),
    bad("two-ways", HEAD + "fixed: {§hidden_sizes: [8], depth: 1}", "hidden_sizes stands in place of depth: give one of them, got both"),
    bad("two-ways-in-one-condition", HEAD + "factors: {conditions: [{label: a, epochs: 1}, {label: b, epochs: 1, §steps: 9}]}", "steps stands in place of epochs: give one of them, got both"),
    bad("no-levels", HEAD + "factors: {lr: §[]}", "the levels of factor lr must be a list that is not empty, got []"),
    bad("same-run", HEAD + "fixed: {depth: 0}\nfactors: {width: [8, §16]}", "conditions must differ"),
    bad("top-level-conditions", GOOD + "§conditions: [{label: a, lr: 1}]", "unknown key 'conditions'; it stands under factors: `factors: {conditions: [{label: small, width: 8}, "),
    bad("top-level-zip", GOOD + "§zip: {lr: [1, 2], depth: [1, 2]}", "unknown key 'zip'; it stands under factors: `factors: {zip: {"),
    bad("top-level-folds", GOOD + "§folds: 5", "unknown key 'folds'; it stands under validation: `validation: {folds: 5}`"),
    bad("top-level-cv", GOOD + "§cv: 5", "unknown key 'cv'; did you mean 'validation', written `validation: {folds: 5}`?"),
    bad("folds-of-data", GOOD.replace("fashion_mnist", "{file: d.csv, target: y, §folds: 5}"), "unknown key 'folds'; did you mean 'validation' at the top of the file, written `validation: {folds: 5}`?"),
    bad("folds-as-setting", HEAD + "fixed: {§folds: 5}", "unknown setting 'folds'; did you mean 'validation' at the top of the file, written `validation: {folds: 5}`?"),
    bad("keep-prob", HEAD + "fixed: {§keep_prob: 0.8}", "unknown setting 'keep_prob'; did you mean 'dropout', which is 1 - keep_prob: 0.2 where keep_prob is 0.8?"),
    bad("top-level-keep-prob", GOOD + "§keep_prob: 1.8", "unknown key 'keep_prob'; did you mean the setting 'dropout', which is 1 - keep_prob: 0.2 where keep_prob is 0.8? settings stand under fixed"),
    bad("momentum-as-setting", HEAD + "fixed: {§momentum: 0.9}", "unknown setting 'momentum'; did you mean 'optimizer', written `optimizer: {momentum: 0.9}`?"),
    bad("batch-norm-as-setting", HEAD + "fixed: {§batch_norm: true}", "did you mean 'norm', written `norm: batch`?"),
    bad("unlike-any-key", GOOD + "§version: 1", "unknown key 'version'; must be one of name, "),
    bad("unsure-key", GOOD.replace("train_size: 100", "§input: -1"), "unknown setting 'input'; did you mean 'input_noise'?"),
    bad("label-of-two-lines", HEAD + 'factors: {conditions: [{label: §"a\\nb", lr: 1}]}', "words on one line, got 'a\\nb'"),
    bad("topic-of-two-lines", GOOD + 'topic: §"a\\nb"', "topic must be words on one line, at most 60 letters, got 'a\\nb'"),
    bad("topic-empty", GOOD + 'topic: §""', "topic must be words on one line, at most 60 letters, got ''"),
    bad("name", HEAD.replace("bad", "§bad name"), "name must be a plain word of letters, digits, '_' and '-', got 'bad name'"),
    bad("name-is-a-path", HEAD.replace("bad", "§../bad"), "name must be a plain word", "got '../bad'"),
    bad("name-missing", "§question: Is it?\ndataset: fashion_mnist\n", "an experiment needs name, got none"),
    bad("validation", HEAD + "validation: §1.5", "validation must be less than 1, got 1.5"),
    bad("replicates-negative", HEAD + "replicates: §-3", "replicates must be greater than or equal to 1, got -3"),
    bad("replicates-true", HEAD + "replicates: §true", "replicates must be a whole number, got true"),
    bad("seed-text", HEAD + "seed: §'0'", "seed must be a whole number, got '0'"),
    bad("vary-nothing", HEAD + "vary: §[]", "vary must name a stream in which replicates differ"),
    bad("dataset", HEAD.replace("fashion_mnist", "§fashion_mist"), "got 'fashion_mist'; did you mean 'fashion_mnist'?"),
    bad("claim-metric", claim("bound: {metric: §test_acuracy, above: 1}"), "metric must be one of", "got 'test_acuracy'; did you mean 'test_accuracy'?"),
    bad("claim-factor", claim("trend: {metric: flops, factor: §wdith, expect: rises}"), "a claim here names a factor (width), got 'wdith'; did you mean 'width'?"),
    bad("claim-level", claim("bound: {metric: flops, where: {width: §16}, above: 1}"), "a claim about width names one of its levels [4, 8], got 16"),
    bad("claim-no-factor", claim("bound: {metric: flops, where: {§lr: 1}, above: 1}"), "a claim here names a factor (width), got 'lr'"),
    bad("validation-of-none", HEAD + "validation: §0.001\nfixed: {train_size: 100}", "validation must take an example of 100, got 0.001"),
    bad("claim-validation", claim("bound: {metric: §val_loss, above: 1}"), "a metric of validation examples needs validation", "got 'val_loss'"),
    bad("claim-of-classes", claim("bound: {metric: §test_rmse, above: 1}"), "RMSE needs numbers, and the target of fashion_mnist is classes", "got 'test_rmse'; did you mean 'test_loss'?"),
    bad("claim-of-probabilities", HEAD + "fixed: {loss: mse}\nfactors: {width: [4, 8]}\nclaims: [{id: c, says: so, bound: {metric: §test_brier, above: 1}}]", "Brier score is of probabilities, so that loss must be one of cross_entropy, naive_cross_entropy", "got 'test_brier' for 'width=4', whose loss is mse"),
    bad("claim-of-train", claim("bound: {metric: §train_roc_auc, above: 1}"), "metric must be one of", "got 'train_roc_auc'; did you mean 'test_roc_auc'?"),
    bad("claim-condition", HEAD + "factors: {zip: {lr: [1, 2], width: [4, 8]}}\nclaims: [{id: c, says: so, bound: {metric: flops, where: §{lr: 1, width: 8}, above: 1}}]", "a claim must name levels of which some condition has all, got {'lr': 1.0, 'width': 8}"),
    bad("claim-margin", claim("compare: §{metric: flops, a: {width: 4}, b: {width: 8}, expect: equivalent}"), "equivalent on flops must state a margin"),
    bad("claim-margin-of-f1", claim("compare: §{metric: test_macro_f1, a: {width: 4}, b: {width: 8}, expect: equivalent}"), "equivalent on test_macro_f1 must state a margin"),
    bad("claim-sides", claim("bound: §{metric: flops, above: 1, below: 2}"), "a bound has exactly one of 'above' and 'below', got both"),
    bad("claim-nan", claim("bound: {metric: flops, above: §.nan}"), "above must be a finite number, got nan"),
    bad("claim-form", claim("§bond: {metric: flops, above: 1}"), "unknown key 'bond'; did you mean 'bound'?"),
    bad("claim-twice", claim("bound: {metric: flops, above: 1}") + "  - {id: §c, says: so, bound: {metric: flops, above: 1}}", "claim ids must differ, got 'c' twice"),
    bad("empty", "", "an experiment needs at least name, question and dataset, got an empty file"),
    bad("comment", "# nothing\n", "got an empty file"),
    bad("list", "§- name: bad\n", "an experiment must be a mapping of keys to values, got [{'name': 'bad'}]"),
    bad("word", "§bad\n", "an experiment must be a mapping of keys to values, got 'bad'"),
    bad("tab", HEAD + "fixed:\n§\tlr: 1", "not YAML", "'\\t'", "indent with spaces, not tabs"),
    bad("unclosed", HEAD + "fixed: {lr: 1\nseed§: 3", "not YAML", "got ':'"),
    bad("duplicate-key", HEAD + "seed: 1\n§seed: 2", "a mapping must have a key once, got 'seed' twice"),
    bad("alias-bomb", "a: §&a [x, x]\n" + "".join(f"{c}: &{c} [*{b}, *{b}, *{b}]\n" for b, c in zip("abcdefgh", "bcdefghi", strict=True)), "must not use anchors and aliases, got &a: write the value out"),
    bad("merge", HEAD + "fixed: {§<<: {lr: 1}}", "unknown setting '<<'; must be one of hidden_sizes, width, "),
    bad("tag", HEAD + "fixed: {lr: §!!python/name:os.system x}", "must not use tags"),
    bad("bool-tag", HEAD + "fixed: {decay_bias: §!!bool maybe}", "must not use tags"),
    bad("yaml-1.1", "%YAML 1.1\n§---\n" + HEAD, "an experiment must be YAML 1.2, got %YAML 1.1"),
    bad("two-documents", HEAD + "§---\n" + HEAD, "not YAML", "another document"),
    bad("brackets", HEAD + "fixed: " + "[" * 19 + "§" + "[" * 9981, "an experiment must be nested at most 20 deep"),
    bad("closed-brackets", HEAD + "fixed: " + "[" * 19 + "§" + "[" * 9981 + "]" * 10_000, "nested at most 20 deep"),
    bad("dashes", HEAD + "fixed:\n  " + "- " * 19 + "§" + "- " * 9981 + "x", "nested at most 20 deep"),
    bad("big-number", HEAD + "fixed: {lr: §1" + "0" * 400 + "}", "lr must be a number above 0, got 1000"),
    bad("bigger-number", HEAD + "seed: §1" + "0" * 5000, "a number must have at most 4300 digits, got '1000"),
    bad("hexadecimal", HEAD + "replicates: §0x" + "f" * 5000, "replicates must be less than or equal to 100000, got a number of very many digits"),
    bad("date", HEAD + "replicates: §2020-12-05", "replicates must be a whole number, got '2020-12-05'"),
    bad("impossible-date", HEAD + "fixed: {lr: §2020-13-45}", "lr must be a number above 0, got '2020-13-45'"),
    bad("null-value", HEAD + "fixed: {lr: §null}", "lr must be a number above 0, got null"),
    bad("null-claims", HEAD + "claims: §", "claims must be a list, got null"),
    bad("null-question", HEAD.replace("Is it?", "§~"), "question must be text, got null"),
    bad("null-key", HEAD + "§~: 1", "unknown key null; must be one of name, "),
    bad("list-key", HEAD + "? §[a]\n: 1", "a key must be a word, got a list or a mapping"),
    bad("mapping-key", HEAD + "fixed: {§{a: 1}: 2}", "a key must be a word, got a list or a mapping"),
    bad("number-key", HEAD + "fixed: {§5: 1}", "a key must be a word, got 5"),
    bad("nul", HEAD + "seed: §\0", "an experiment file must be printable text, got '\\x00'"),
    bad("half-a-pair", HEAD.replace("Is it?", '§"\\ud800"'), "text must be made of whole characters, got '\\ud800'"),
    bad("grid", HEAD + "factors:\n  §width: &".replace("&", str(list(range(1, 1001)))) + f"\n  lr: {list(range(1, 1001))}", "at most 100000 conditions, got 1000000"),
    bad("too-long", HEAD + "#" * 1_000_000, "an experiment file must have at most 1000000 bytes, got more"),
]  # fmt: skip
