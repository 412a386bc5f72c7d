"""The synthetic studies whose texts are kept as golden."""

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
    "random": Wanted(sampler="random", pruner="none"),
}
HOSTILE_STUDY = Wanted(
    accuracy={"cnn": 0.994, f"x{HOSTILE}": 0.983},
    classes=tuple(f"{digit}{HOSTILE}" for digit in range(10)),
    activations=("relu", f"a{HOSTILE}", "<b>bold</b>"),
    reason=f"it broke {HOSTILE}",
    dataset=f"d{HOSTILE}",
    trials=60,
    examined=True,
)
