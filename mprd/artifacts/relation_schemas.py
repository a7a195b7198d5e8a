"""What the HDF5 artifacts of the relation GCN hold; see `schema.py`."""

from mprd.artifacts.declaration import Array, Schema

RANKS = Schema(
    "mprd.ranks",
    1,
    "ranks",
    "How near the images of every camera are to each training image, at a few ranks: where the "
    "neighbours are searched approximately, this search is made once for all that the GCN does in "
    "an epoch. Of a track only the first image counts, and no image counts its own track.",
    {
        "cosine": Array(
            "float32",
            ("N", "C", "L"),
            "cosine, around the means of the cameras, of the 1st, 2nd, 3rd, 4th, 6th ... 128th "
            "nearest image of a camera; -2 where it has fewer",
            minimum=-2,
            maximum=1.001,
        ),
    },
    {
        "recall": "share of the nearest images of a camera that were found, of a sample; the "
        "least of the cameras (1: all were compared)",
    },
)

JUDGEMENTS = Schema(
    "mprd.judgements",
    1,
    "judge",
    "The relation GCN's prediction for every pair that the graph of the epoch stores.",
    {
        "probability": Array(
            "float32",
            ("nnz",),
            "p(i, j) that the two images show one identity, if half of all pairs did; in the order "
            "of the graph's `data`, 1 on the diagonal",
            minimum=0,
            maximum=1,
        ),
    },
    {
        "accepted": "share of the pairs with p >= 0.5 (NaN: no pairs)",
        "true_share": "positive rate: share of true pairs among them (NaN: unknown)",
        "auc": "area under the ROC curve of p (NaN: unknown)",
        "brier": "mean squared error of the probabilities (NaN: unknown)",
    },
)

METADATA = Schema(
    "mprd.metadata",
    1,
    "metadata",
    "Pairs known with certainty, for the relation GCN. Their nodes are augmented views, or "
    "training images that a person knows.",
    {
        "row": Array("int64", ("m",), "training row of the image that a node shows", minimum=0),
        "view": Array("int16", ("m",), "number of the view, -1: the image itself", minimum=-1),
        "features": Array(
            "float32",
            ("m", "D"),
            "embedding of the node by the initial model",
            minimum=-1.001,
            maximum=1.001,
        ),
        "pixels": Array(
            "uint8", ("v", "H", "W", 3), "RGB image of each node that is a view, in order"
        ),
        "pairs": Array("int64", ("p", 2), "two nodes", minimum=0, below="m"),
        "same": Array("uint8", ("p",), "1: one identity, 0: two", maximum=1),
    },
    {
        "source": "views, labels or pairs",
        "max_similarity": "largest cosine of two images that are not one identity (views)",
    },
)

COLLECTED = Schema(
    "mprd.collected",
    1,
    "train",
    "The pairs that training collected for the relation GCN to learn from: for each anchor of a "
    "batch one pair that it accepted and one that it rejected.",
    {
        "pairs": Array("int64", ("c", 2), "two training rows", minimum=0),
        "same": Array("uint8", ("c",), "1: accepted as one identity, 0: rejected", maximum=1),
    },
    {"relation_seed": "seed of all random numbers of the relation GCN in this epoch"},
)

RELATIONS = Schema(
    "mprd.relations",
    2,
    "train",
    "Every judgement of the relation GCN on a hard pair of the epoch.",
    {
        "step": Array("int32", ("r",), "training step, from 1", minimum=1),
        "i": Array("int32", ("r",), "training row of the anchor", minimum=0),
        "j": Array("int32", ("r",), "training row of the doubtful partner", minimum=0),
        "now": Array("uint8", ("r",), "1: one cluster in this epoch", maximum=1),
        "before": Array("uint8", ("r",), "1: one cluster in the epoch before", maximum=1),
        "probability": Array(
            "float32", ("r",), "p(i, j), that they are one identity", minimum=0, maximum=1
        ),
        "kept": Array(
            "uint8",
            ("r",),
            "1: the GCN agrees with the cluster relation of this epoch, the pair is used",
            maximum=1,
        ),
        "same": Array(
            "int8", ("r",), "1: truly one identity, 0: not, -1: unknown (for the eye)", minimum=-1
        ),
        "same_camera": Array("uint8", ("r",), "1: of one known camera", maximum=1),
    },
    {
        "positives": "hard positives judged",
        "positives_kept": "of which the GCN keeps",
        "positive_acceptance": "the same as a share (NaN: none judged)",
        "positive_precision": "share of the judged that are one identity (NaN: unknown)",
        "positive_precision_kept": "the same of the kept",
        "negatives": "hard negatives judged",
        "negatives_kept": "of which the GCN keeps",
        "negative_acceptance": "the same as a share (NaN: none judged)",
        "negative_precision": "share of the judged that are two identities (NaN: unknown)",
        "negative_precision_kept": "the same of the kept",
        "prior": "positive rate of the pairs inside clusters, as estimated without labels",
    },
)
