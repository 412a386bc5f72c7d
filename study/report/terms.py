"""The words of a page that not every reader knows, and what they mean there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    """`forms` are how a page writes it, the first one as it stands in the list of words."""

    forms: tuple[str, ...]
    meaning: str


TERMS = (
    Term(("family", "families"), "a kind of network with the space of its configurations, such as mlp or cnn"),
    Term(("mlp",), "fully connected networks: each unit of a layer sees all units of the layer before"),
    Term(("cnn",), "convolutional networks: small filters that look at the whole picture piece by piece"),
    Term(("configuration", "configurations"), "all choices that make a network and its training, such as width"),
    Term(("trial", "trials"), "one configuration that was trained to see how good it is; #7 is the trial number 7"),
    Term(("pruned", "pruning"), "stopped early, because others were better after as much training"),
    Term(("rung", "rungs"), "a length of training at which trials are compared; the top rung is the full length"),
    Term(
        ("found, given",),
        "drawn by the search of this study, or handed to it: as a warm start, in a file or from another study",
    ),
    Term(("warm start", "warm starts"), "a configuration known to be good, which the authors of the space wrote down"),
    Term(("candidate", "candidates"), "one of the best trials of a family, trained again with fresh seeds"),
    Term(("finalist", "finalists"), "the candidate by which its family is judged: the best one on validation"),
    Term(("seed", "seeds"), "the number from which the chance in a training run comes; another seed, another network"),
    Term(("validation",), "images that were kept from training to choose among configurations"),
    Term(("test split",), "images that no network and no choice has seen before the winner was fixed"),
    Term(("sealed", "seal"), "written down, with a checksum of every network, before a test image was read"),
    Term(("points",), "differences of percentages: from 99.0\u00a0% to 99.5\u00a0% are 0.5 points"),
    Term(
        ("95\u00a0% interval", "95\u00a0% intervals"), "made so that nineteen of twenty such ranges hold the true value"
    ),
    Term(
        ("Holm p", "Holm"),
        "how often chance alone makes a difference at least as large, corrected for the number of pairs (Holm 1979)",
    ),
    Term(
        ("Wilson", "Wilson's"), "a 95\u00a0% interval of a share, good for shares near 0 and 100\u00a0% (Wilson 1927)"
    ),
    Term(("McNemar",), "a test of two networks on the images that just one of them reads right"),
    Term(
        ("exploratory",), "said of results on images that had been looked at before: chance has had more than one try"
    ),
    Term(("ensemble", "ensembles"), "several networks that answer together, with the mean of their probabilities"),
    Term(("FLOPs",), "floating-point operations for one image: how much arithmetic a network needs"),
    Term(("Pareto front",), "those that no other beats in accuracy without costing more"),
    Term(("abstains", "abstain", "abstention"), "leaves the answer open, because its probability is too low"),
    Term(
        ("temperature",), "a number that stated probabilities are softened by, so that they fit the share that is right"
    ),
    Term(("NLL",), "negative log-likelihood: the mean surprise at the right answers; lower is better"),
    Term(("Brier",), "the squared distance of stated probabilities from the truth; lower is better"),
    Term(("ECE",), "expected calibration error: how far stated probabilities lie from the share that is right"),
    Term(("noise floor",), "the ECE that chance alone gives to probabilities that are exactly right"),
    Term(("precision",), "of the images that were read as a class, the share that is of it"),
    Term(("recall",), "of the images of a class, the share that is read as it"),
    Term(("F1",), "one number for precision and recall, their harmonic mean"),
    Term(("PED-ANOVA",), "a measure of how differently the best trials and all trials choose a parameter"),
    Term(("ablation",), "one choice of a finalist swapped at a time, all else kept, to see what it is worth"),
    Term(("audit",), "pruned trials, drawn at random and run to the end: would one of them have won?"),
    Term(("augmentation",), "training images that were moved or bent a little, so that more forms are seen"),
)
