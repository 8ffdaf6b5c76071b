"""From the evidence of a diagnosis to a cause and a remedy, in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .metrics import Score

CAUSES = {  # cause → its first sentence
    "wrong spec": "Not the same function: the permuted B differs from B by {equivalence:.1e} "
    "(relative), so the spec is wrong; derive it with PermutationSpec.from_model and run check.",
    "different data": "Different data: {different}; merge networks of one task, or score them on "
    "data of both and refit.",
    "already aligned": "Already aligned: 0 units moved and they correlate {now:.2f}, as in "
    "networks with a common ancestor; average them as they are.",
    "poor matching": "A poor matching: matched units correlate {now:.2f} where {possible:.2f} is "
    "possible; use activation_matching(spec, a, b, train_data).",
    "too narrow": "Too narrow: even the best pairs of units correlate {possible:.2f} only, so "
    "there is little to match; use wider networks, or merge with repair='refit'.",
    "stale statistics": "Stale BatchNorm statistics: re-estimating them takes the loss from "
    "{merged:.3f} to {again:.3f}; use reestimate_batchnorm(network, train_data).",
    "variance collapse": "Variance collapse: at {layer!r} merged units keep {ratio:.2f} of their "
    "parents' standard deviation; use repair_statistics(a, b, train_data).",
    "healthy": "Nothing is wrong: the merged network has a loss of {merged:.3f}, its parents "
    "{parents:.3f}.",
}
# Each threshold separates the stored pairs and the planted causes of the tests.
SAME = 1e-3  # relative difference of the outputs: rounding gives 1e-6, a wrong spec 1e-2 and more
NARROW = 0.4  # best mean correlation
ALIGNED = 0.8  # correlation of units that nobody moved; networks trained apart stay below 0.4
MISSED = 0.15  # how far below the best correlation a matching may stay
GAP = 0.15  # total variation of the predicted classes
UNEQUAL = 0.1  # difference of the parents' accuracies
LOST = 0.02  # accuracy below the parents that counts as a loss
CURED = 0.85  # share of the excess loss that new statistics take away where nothing else is wrong
STALE = 0.5  # share of the excess loss that new statistics must take away
COLLAPSED = 0.9  # standard deviation over the parents'


@dataclass(frozen=True)
class Evidence:
    """The numbers that a cause is read from; see ``Diagnosis``.

    Attributes:
        std_ratios: layer → merged standard deviation over the parents'.
        moved: units that the permutation moves; ``None`` without one.
        prediction_gap: total variation distance of the parents' answers.
    """

    scores: dict[str, Score]
    equivalence: float | None
    correlations: dict[str, float]
    best: dict[str, float]
    std_ratios: dict[str, float]
    batchnorm: dict[str, float]
    moved: int | None
    prediction_gap: float

    @property
    def now(self) -> float:
        """Mean correlation of matched units over the groups."""
        return _mean(self.correlations.values())

    @property
    def possible(self) -> float:
        """Mean correlation under the best permutations."""
        return max(_mean(self.best.values()), self.now)

    @property
    def parents(self) -> float:
        return (self.scores["A"].loss + self.scores["B"].loss) / 2

    def lost(self, name: str = "merged") -> float:
        """Accuracy below the parents' mean; 0 where there is none (a regression)."""
        a, b, merged = (self.scores[each].accuracy for each in ("A", "B", name))
        lost = (a + b) / 2 - merged
        return 0.0 if math.isnan(lost) else lost


def cause_of(e: Evidence) -> tuple[str, tuple[str, ...]]:
    """Return the cause, and sentences: the first has cause and remedy, the others evidence."""
    cause = _cause(e)
    layer, ratio = min(e.std_ratios.items(), key=lambda item: item[1], default=("none", math.nan))
    again = e.scores.get("re-estimated", e.scores["merged"]).loss
    values = {"equivalence": e.equivalence or 0.0, "now": e.now, "possible": e.possible}
    values |= {"merged": e.scores["merged"].loss, "again": again, "parents": e.parents}
    first = CAUSES[cause].format(layer=layer, ratio=ratio, different=_difference(e), **values)
    return cause, (first, *_evidence(e, layer, ratio))


def _cause(e: Evidence) -> str:
    if e.equivalence is not None and e.equivalence > SAME:
        return "wrong spec"
    if _difference(e):
        return "different data"
    if e.moved == 0 and e.now > ALIGNED:
        return "already aligned"
    excess = e.scores["merged"].loss - e.parents
    if e.lost() < LOST and excess < max(0.1, 0.2 * e.parents):
        return "healthy"
    if e.possible - e.now > MISSED:
        return "poor matching"
    gained = e.scores["merged"].loss - e.scores.get("re-estimated", e.scores["merged"]).loss
    if gained > CURED * excess:
        return "stale statistics"
    if e.possible < NARROW:
        return "too narrow"
    if "re-estimated" in e.scores:
        if gained > STALE * excess:
            return "stale statistics"
    elif min(e.std_ratios.values(), default=1.0) < COLLAPSED:
        return "variance collapse"
    return "too narrow"


def _difference(e: Evidence) -> str:
    """How the parents differ in what they learned, or nothing."""
    a, b = e.scores["A"], e.scores["B"]
    if abs(a.accuracy - b.accuracy) > UNEQUAL:
        return f"A is right in {a.accuracy:.1%} of these examples and B in {b.accuracy:.1%}"
    errors = 1 - (a.accuracy + b.accuracy) / 2  # these alone can make the answers so different
    if e.prediction_gap > max(GAP, errors):
        return f"A and B name other classes in {e.prediction_gap:.0%} more of these examples"
    return ""


def _evidence(e: Evidence, layer: str, ratio: float) -> list[str]:
    said = []
    if e.equivalence is not None:
        same = "computes the same function as B" if e.equivalence <= SAME else "is NOT the same"
        said.append(f"The permuted B {same} (outputs differ by {e.equivalence:.1e}, relative).")
    if e.correlations:
        worst = min(e.correlations, key=lambda name: e.correlations[name])
        said.append(
            f"Matched worst: {worst!r}, mean correlation {e.correlations[worst]:.2f} of matched "
            f"units; over all groups {e.now:.2f}, and {e.possible:.2f} is possible."
        )
    if e.std_ratios:
        said.append(
            f"Variance: lowest at {layer!r}, where merged units have {ratio:.2f} of their parents' "
            "standard deviation."
        )
    merged, again = e.scores["merged"], e.scores.get("re-estimated")
    if again is not None and e.batchnorm:
        name = max(e.batchnorm, key=lambda key: abs(math.log(max(e.batchnorm[key], 1e-12))))
        said.append(
            f"BatchNorm: measured standard deviation is {e.batchnorm[name]:.2f} of the stored one "
            f"at {name!r}; re-estimating takes the loss from {merged.loss:.3f} to "
            f"{again.loss:.3f}, accuracy {merged.accuracy:.2%} → {again.accuracy:.2%}."
        )
    return said


def _mean(values: object) -> float:
    listed = [value for value in values if not math.isnan(value)]  # type: ignore[attr-defined]
    return sum(listed) / len(listed) if listed else math.nan
