"""How good judgements are, for the record and the eye; true identities never train anything."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mprd.evidence.roc import roc_auc
from mprd.gcn.calibration import at_prior, calibration, estimate_prior
from mprd.gcn.judge import Judge
from mprd.gcn.pairs import PairSet
from mprd.gcn.relation_tasks import RelationTasks

_SAMPLE = 8192


def set_quality(judge: Judge, pairs: PairSet) -> dict[str, Any]:
    """Return accuracy, precision and recall of "one identity" on pairs with an answer.

    Args:
        judge: the network in the context of an epoch.
        pairs: not trained on.
    """
    same = judge.probability(pairs.pairs) >= 0.5
    return {"pairs": len(pairs)} | _metrics(same, pairs.same)


def judge_quality(relations: RelationTasks, identity: np.ndarray) -> dict[str, Any] | None:
    """Compare judgements on doubtful pairs with the truth, and with cosine and Jaccard alone.

    Args:
        relations: of an epoch.
        identity: int (N,), -1 unknown.

    Returns:
        accuracy, precision, recall, and `auc`, `auc_cosine`, `auc_jaccard`, over at most 8,192
        doubtful pairs, and the same by camera relation; `prior`, the positive rate as
        estimated, beside `true_share`; `brier` and `reliability` of the probabilities at this
        prior. None if too few identities are known.
    """
    context = relations.context
    who = torch.from_numpy(identity).to(context.memory.device)
    pairs = relations.doubtful[(who[relations.doubtful] >= 0).all(dim=1)]
    step = max(1, -(-len(pairs) // _SAMPLE))
    pairs = pairs[::step]
    i, j = pairs.T
    same = who[i] == who[j]
    if not bool(same.any()) or bool(same.all()):
        return None
    balanced = relations.judge.probability(pairs)
    prior = estimate_prior(balanced)
    scores = {
        "auc": at_prior(balanced, prior),
        "auc_cosine": (context.memory[i] * context.memory[j]).sum(dim=1),
        "auc_jaccard": context.jaccard(i, j),
    }
    camera = context.same_camera(i, j)
    report = _compare(scores, same)
    report |= {"prior": prior, "true_share": _share(same), **calibration(scores["auc"], same)}
    report["brier_balanced"] = calibration(balanced, same)["brier"]
    report["same_camera"] = _compare({k: v[camera] for k, v in scores.items()}, same[camera])
    report["cross_camera"] = _compare({k: v[~camera] for k, v in scores.items()}, same[~camera])
    return report


def _compare(scores: dict[str, Tensor], same: Tensor) -> dict[str, Any]:
    report = {"pairs": len(same)} | _metrics(scores["auc"] >= 0.5, same)
    return report | {name: auc(values, same) for name, values in scores.items()}


def auc(score: Tensor, same: Tensor) -> float:
    """Return the area under the ROC curve of scores (n,); NaN if all answers (n,) are alike."""
    return roc_auc(same.cpu().numpy(), score.cpu().numpy())


def _metrics(answer: Tensor, truth: Tensor) -> dict[str, float]:
    return {
        "accuracy": _share(answer == truth),
        "precision": _share(truth[answer]),
        "recall": _share(answer[truth]),
    }


def _share(mask: Tensor) -> float:
    """Return the share of True, NaN if there are no values."""
    return float(mask.double().mean()) if len(mask) else float("nan")
