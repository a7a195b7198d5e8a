"""The variants that learning.py trains: changes to one base, by name."""

from mprd.config import merge

PLAIN = {
    "use_gcn": False,
    "train": {"use_hsd": False, "use_ppa": False, "member_weights": False},
}
DBSCAN = {
    "cluster": {
        "method": "dbscan",
        "relation": "jaccard",
        "eps": 0.5,
        "gamma": 0.1,
    }
}
HSD = merge(PLAIN, {"train": {"use_hsd": True}})
FILTER = merge(HSD, {"use_gcn": True})
COMMUNITY = {"cluster": {"method": "community", "relation": "jaccard", "eps": 0.7, "gamma": "auto"}}
JUDGED = merge(PLAIN, COMMUNITY | {"use_gcn": True})
JUDGED = merge(JUDGED, {"cluster": {"relation": "judged"}})
WEIGHTS = {"train": {"member_weights": True}}
VARIANTS: dict[str, dict] = {
    "contrast": merge(PLAIN, DBSCAN),
    "hsd": merge(HSD, DBSCAN),
    "hsd-ppa": merge(HSD, DBSCAN | {"train": {"use_ppa": True}}),
    "hsd-filter": merge(FILTER, DBSCAN),
    "community": merge(PLAIN, COMMUNITY),
    "judged": JUDGED,
    "judged-weights": merge(JUDGED, WEIGHTS),
    "judged-weights-hsd": merge(JUDGED, merge(WEIGHTS, {"train": {"use_hsd": True}})),
    "oracle-filter": merge(FILTER, DBSCAN),
    "oracle-clusters": merge(PLAIN, DBSCAN),
}
# Not run unless asked for: single settings.
MORE: dict[str, dict] = {
    name: merge(VARIANTS["contrast"], change)
    for name, change in {
        "eps-0.4": {"cluster": {"eps": 0.4}},
        "eps-0.6": {"cluster": {"eps": 0.6}},
        "uncentred": {"graph": {"cameras": "none"}},
        "centred": {"graph": {"cameras": "center"}},
        "standardized": {"graph": {"cameras": "standardize"}},
        "anchor": {"train": {"sampler": "anchor"}},
        "hard": {"train": {"memory_update": "hard"}},
        "lr-1e-3": {"train": {"lr": 1.0e-3}},
        "temperature-0.1": {"train": {"temperature": 0.1}},
        "momentum-0.2": {"train": {"momentum": 0.2}},
        "cap-momentum-0.1": {"train": {"memory": "camera"}},  # of `cap`, whose own is 0.2
    }.items()
}

CAMERA = {"train": {"memory": "camera", "momentum": 0.2}}
# Camera proxies with the losses and the clusters of others.
COMBINED: dict[str, dict] = {
    "cap-hsd-ppa": merge(VARIANTS["hsd-ppa"], CAMERA),
    "judged-weights-cap": merge(VARIANTS["judged-weights"], CAMERA),
}

# Average linkage, and what the times of the images say; on camera proxies, as `cap` below.
STORED = {"graph": {"eps_max": 0.97}}
TIMED = merge(STORED, {"use_time": True})
CAP = merge(VARIANTS["contrast"], CAMERA)


def _linkage(threshold: float) -> dict:
    """Return average linkage with this cut, without times."""
    return merge(STORED, {"cluster": {"method": "linkage", "threshold": threshold}})


BEST = merge(CAP, merge(_linkage(0.6), TIMED))
EVIDENCE: dict[str, dict] = {
    "linkage": merge(CAP, _linkage(0.7)),
    "time": merge(CAP, TIMED),
    "linkage-time": BEST,
    "linkage-time-0.7": merge(BEST, _linkage(0.7)),
    "linkage-time-0.8": merge(BEST, _linkage(0.8)),
    "linkage-time-weights": merge(BEST, WEIGHTS),
    "linkage-time-online": merge(BEST, {"train": {"online_weight": 0.5}}),
    "linkage-time-weights-online": merge(
        BEST, {"train": {"member_weights": True, "online_weight": 0.5}}
    ),
    # Of 8 epochs, as in docs/explanation/comparison.md: the mean of the second half.
    "linkage-time-weights-online-mean": merge(
        BEST, {"train": {"member_weights": True, "online_weight": 0.5, "average_from": 5}}
    ),
    "linkage-time-weights-hsd": merge(BEST, {"train": {"member_weights": True, "use_hsd": True}}),
    "contrast-linkage-time": merge(BEST, {"train": {"memory": "cluster", "momentum": 0.1}}),
    "judged-weights-time": merge(VARIANTS["judged-weights"], TIMED),  # the demo
    "judged-time": merge(JUDGED, merge(CAMERA, TIMED)),
    "judged-linkage-time": merge(
        merge(JUDGED, merge(CAMERA, TIMED)),
        {"cluster": {"method": "linkage", "threshold": 0.7, "gamma": 0.05}},
    ),
    "oracle-clusters-cap": merge(VARIANTS["oracle-clusters"], CAMERA),
}

# The method's relatives on the same images, batches, budget and start; only what makes each of
# them itself differs. SpCL and CAP keep their authors' momentum. `contrast` is Cluster Contrast
# and `judged-weights` is ours.
RIVALS: dict[str, dict] = {
    "contrast": VARIANTS["contrast"],
    "spcl": merge(
        VARIANTS["contrast"],
        {"cluster": {"self_paced": True}, "train": {"memory": "hybrid", "momentum": 0.2}},
    ),
    "cap": CAP,
    "mprd": merge(VARIANTS["hsd-ppa"], {"use_gcn": True}),
    "judged-weights": VARIANTS["judged-weights"],
}

BASE: dict[str, dict] = {
    "synthetic": {  # and config/config.yaml, without times
        "use_time": False,
        "graph": {"eps_max": 0.7},
        "cluster": {"min_samples": 2},
    },
    "market": {
        "data": {"dataset": "folder", "height": 128, "width": 64},
        "model": {"backbone": "timm/tf_efficientnet_lite0", "bn_group_size": 0},
        "init": {"method": "imagenet"},
        "graph": {"cameras": "standardize"},
        "cluster": {"min_samples": 4, "min_size": 4},
        "augment": {"pad": 5},
        "train": {
            "identities": 16,
            "instances": 4,
            "sampler": "cameras",
            "memory_update": "hard",  # + 3 mAP over mean (docs/explanation/learning.md)
            "lr": 1.0e-3,  # + 3 over the default
        },
        "gcn": {"hidden": [64, 64], "conv": [64, 128], "mlp": 64},
    },
}
