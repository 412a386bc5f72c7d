"""The synthetic studies, alone and in comparisons, whose texts are kept as golden."""

from synthetic import Wanted

HOSTILE = "<img src=x onerror=alert(1)>\"'</script><!--{{7*7}}"

CASES = {
    "clear win": Wanted(),
    "equal": Wanted(accuracy={"cnn": 0.993, "mlp": 0.993}, shared_errors=0.95, n_test=10_000),
    "too close": Wanted(accuracy={"cnn": 0.9935, "mlp": 0.9925}),
    "one family": Wanted(accuracy={"cnn": 0.994}),
    "all failed": Wanted(states="FAIL"),
    "one family failed": Wanted(failed=("mlp",)),
    "one trial": Wanted(trials=1, warm_starts=0),
    "non-finite": Wanted(non_finite=True, seeds=1),
    "unequal budgets": Wanted(seconds={"cnn": 4.0, "mlp": 8.0}),
    "test opened twice": Wanted(openings=2),
    "contradicted": Wanted(validation={"cnn": 0.985, "mlp": 0.99}),
    "validation only": Wanted(stage="retrained"),
    "two seeds": Wanted(seeds=2),
    "searching": Wanted(stage="searching"),
    "empty": Wanted(stage="empty"),
    "edge": Wanted(edge=True, trials=120),
    "counted trials": Wanted(budget_s=None, n_trials=24),
    "three families": Wanted(accuracy={"cnn": 0.994, "mlp": 0.983, "mixer": 0.984}, trials=12),
    "small win": Wanted(accuracy={"cnn": 0.9950, "mlp": 0.9942}, shared_errors=1.0, n_test=10_000),
    "examined": Wanted(examined=True, trials=200),
    "ablated": Wanted(ablated=True),
    "random": Wanted(sampler="random", pruner="none"),
    "two searches": Wanted(trials=12, repeats=2),
    "five searches": Wanted(trials=12, repeats=5),
    "five sealed": Wanted(trials=12, repeats=5, stage="retrained"),
    "given apart": Wanted(apart=True, warm_starts=2),
    "five alike": Wanted(accuracy={"cnn": 0.9905, "mlp": 0.99}, trials=12, repeats=5),
}
HOSTILE_STUDY = Wanted(
    accuracy={"cnn": 0.994, f"x{HOSTILE}": 0.983},
    classes=tuple(f"{digit}{HOSTILE}" for digit in range(10)),
    activations=("relu", f"a{HOSTILE}", "<b>bold</b>"),
    reason=f"it broke {HOSTILE}",
    dataset=f"d{HOSTILE}",
    trials=60,
    examined=True,
    ablated=True,
)

# Comparisons: the studies by name, in the order in which they are given.
EQUAL = {"accuracy": {"cnn": 0.993, "mlp": 0.985}, "shared_errors": 0.95, "n_test": 10_000, "trials": 12}
COMPARISONS = {
    "another draw": {"first": Wanted(**EQUAL), "second": Wanted(**EQUAL, draw=1, study_seed=8)},
    "clear win": {
        "short": Wanted(accuracy={"cnn": 0.985, "mlp": 0.97}, trials=12),
        "long": Wanted(
            trials=12, draw=1, seconds={"cnn": 9.0, "mlp": 9.0}, budget_s=600.0, activations=("relu", "tanh")
        ),
    },
    "other images": {
        "digits": Wanted(trials=12, examined=True),
        "clothes": Wanted(
            accuracy={"cnn": 0.91, "mlp": 0.88}, trials=12, dataset="fashion-mnist", draw=1, examined=True
        ),
    },
    "no latency": {"with": Wanted(trials=12, examined=True), "without": Wanted(trials=12, draw=1)},
    "other processor": {
        "here": Wanted(trials=12, examined=True),
        "there": Wanted(trials=12, draw=1, examined=True, cpu="another processor"),
    },
    "three": {
        "a": Wanted(trials=12),
        "b": Wanted(accuracy={"cnn": 0.9935, "mixer": 0.98}, trials=12, draw=1),
        "c": Wanted(accuracy={"cnn": 0.97}, trials=12, draw=2, sampler="random", imported_from="a"),
    },
    "three on two data sets": {
        "a": Wanted(trials=12),
        "b": Wanted(trials=12, draw=1),
        "k": Wanted(trials=12, draw=2, dataset="kmnist", accuracy={"cnn": 0.96}),
    },
    "one sealed": {"read": Wanted(trials=12), "sealed": Wanted(trials=12, draw=1, stage="retrained")},
    "all sealed": {"one": Wanted(trials=12, stage="retrained"), "two": Wanted(trials=12, draw=1, stage="retrained")},
    "one seed": {"one": Wanted(trials=12, seeds=1), "two": Wanted(trials=12, seeds=1, draw=1, non_finite=True)},
    "a family failed": {"whole": Wanted(trials=12), "half": Wanted(trials=12, draw=1, failed=("mlp",))},
    "counted trials": {
        "few": Wanted(trials=12, budget_s=None, n_trials=12),
        "many": Wanted(trials=24, budget_s=None, n_trials=24, draw=1),
    },
    "same configuration": {"one": Wanted(trials=12), "two": Wanted(trials=12, study_seed=8)},
}
