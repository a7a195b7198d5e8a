"""What each HDF5 artifact holds: the single source for writer, reader, `inspect` and the docs."""

from mprd.artifacts.declaration import Array, Schema

SPLITS = ("train", "query", "gallery")

INDEX = Schema(
    "mprd.index",
    3,
    "index",
    "Every image of a data set, in the order that all later artifacts follow.",
    {
        "path": Array("str", ("n",), "image path relative to the attribute `root`"),
        "split": Array("uint8", ("n",), "0 train, 1 query, 2 gallery", maximum=2),
        "identity": Array(
            "int32", ("n",), "identity, -1 unknown; never used for training", minimum=-1
        ),
        "camera": Array("int16", ("n",), "camera, zero-based, -1 unknown", minimum=-1),
        "width": Array("int32", ("n",), "width of the image file", units="pixels", minimum=1),
        "height": Array("int32", ("n",), "height of the image file", units="pixels", minimum=1),
        "sha256": Array("str", ("n",), "SHA-256 of the image file, hexadecimal"),
        "identity_names": Array(
            "str", ("I",), "names of the identities 0, 1, ...; none: they have numbers only"
        ),
    },
    {
        "dataset": "name of the data set",
        "root": "absolute folder that `path` is relative to",
        "camera_names": "names of the cameras 0, 1, ... (JSON); []: they have numbers only",
        "num_train": "images in the train split",
        "num_query": "images in the query split",
        "num_gallery": "images in the gallery split",
        "num_skipped": "unreadable images that were left out (`on_bad_image: skip`)",
    },
)

PIXELS = Schema(
    "mprd.pixels",
    2,
    "pixels",
    "Decoded and resized images, one per row of the index.",
    {
        "pixels": Array(
            "uint8",
            ("n", "H", "W", 3),
            "RGB image, bicubic resize of the file",
            streamed=True,
        ),
        "crc32": Array("uint32", ("n",), "CRC-32 of the image"),
    },
)

FEATURES = Schema(
    "mprd.features",
    1,
    "features",
    "Embeddings of the images of one or more splits, in index order.",
    {
        "features": Array(
            "float32",
            ("N", "D"),
            "L2-normalised embedding",
            unit_rows=True,
            others=("float16",),
        ),
        "row": Array("int64", ("N",), "row of the image in the index", minimum=0),
    },
    {"splits": "splits covered, comma-separated"},
)

GRAPH = Schema(
    "mprd.graph",
    4,
    "graph",
    "Nearest neighbours and the sparse k-reciprocal Jaccard distance of the training images.",
    {
        "neighbors": Array(
            "int32", ("N", "k"), "nearest rows by cosine, itself first", minimum=0, below="N"
        ),
        "similarities": Array(
            "float32",
            ("N", "k"),
            "cosine similarity to `neighbors`, as aligned by `cameras`",
            minimum=-1.01,
            maximum=1.01,
        ),
        "indptr": Array("int64", ("N+1",), "CSR row pointer of the Jaccard distances", minimum=0),
        "indices": Array("int32", ("nnz",), "CSR column indices, sorted", minimum=0, below="N"),
        "data": Array("float32", ("nnz",), "Jaccard distance <= eps_max", minimum=0.0, maximum=1.0),
    },
    {
        "eps_max": "distances above this are not stored",
        "cameras": "what was taken from the embeddings: none, center (the mean of their camera), "
        "standardize (mean and deviation)",
        "recall": "share of the true neighbours in `neighbors`; 1: exact, else that of a sample",
    },
)

CLUSTERS = Schema(
    "mprd.clusters",
    5,
    "cluster",
    "Pseudo-labels of the training images.",
    {
        "labels": Array("int32", ("N",), "cluster, -1 outlier", minimum=-1, below="N"),
        "sizes": Array("int32", ("K",), "images in each cluster", minimum=1),
        "number": Array(
            "int32",
            ("K",),
            "what people call each cluster: its label, unless `export.numbers` gives it the "
            "number of an earlier run",
            minimum=0,
        ),
        "membership": Array(
            "float32",
            ("N",),
            "mean relation (1 - distance, or p) to the others of the cluster, 0 for outliers",
            minimum=0,
            maximum=1,
        ),
    },
    {
        "eps": "radius used (after widening, if any)",
        "gamma": "mean relation that a community had to reach, as chosen if `auto` (NaN: dbscan)",
        "relation": "what nearness was: jaccard, or judged by the relation GCN",
        "independence": "threshold of SpCL's criterion, set in epoch 1 (NaN: not `self_paced`)",
        "num_outliers": "images without a cluster",
        "confident_together": "share in one cluster of the pairs that are mutually nearest across "
        "two cameras (without cameras: mutually nearest); NaN: none",
        "cohesion": "mean of 1 - Jaccard distance of an image to the others of its cluster; "
        "outliers count 0",
        "health": "geometric mean of the two: how good the clusters look without identities (NaN: "
        "no confident pairs)",
        "nmi": "normalised mutual information with the identities (NaN: unknown)",
        "ari": "adjusted Rand index (NaN: unknown)",
        "pair_precision": "share of same-cluster pairs that are one identity (NaN: unknown)",
        "pair_recall": "share of same-identity pairs that are in one cluster (NaN: unknown)",
        "pair_f1": "harmonic mean of pair precision and recall (NaN: unknown)",
        "cross_recall": "pair recall among pairs of two cameras (NaN: unknown)",
    },
)

RANKS = Schema(
    "mprd.ranks",
    1,
    "ranks",
    "How near the images of every camera are to each training image, at a few ranks: where the "
    "neighbours are searched approximately, this search is made once for all that the GCN does in "
    "an epoch.",
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
    "The relation GCN's word on every pair that the graph of the epoch stores.",
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
        "true_share": "share of true pairs among them (NaN: unknown)",
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
        "prior": "share of true pairs among pairs inside clusters, as estimated without labels",
    },
)

RANKINGS = Schema(
    "mprd.rankings",
    1,
    "evaluate",
    "Per-query results of one evaluation.",
    {
        "query_row": Array("int64", ("Q",), "row of the query in the index", minimum=0),
        "average_precision": Array(
            "float32",
            ("Q",),
            "average precision, NaN: no match in the gallery",
            minimum=0,
            maximum=1,
            finite=False,
        ),
        "first_hit_rank": Array(
            "int32", ("Q",), "rank of the first hit, 1-based, 0: no match", minimum=0
        ),
        "gallery_row": Array(
            "int64", ("Q", "top"), "index rows of the best gallery images, -1: none", minimum=-1
        ),
        "distance": Array(
            "float32",
            ("Q", "top"),
            "distance to `gallery_row` (2 - 2 cos, or re-ranked), NaN: none",
            minimum=-0.001,
            finite=False,
        ),
    },
)

GALLERY = Schema(
    "mprd.gallery",
    1,
    "embed",
    "Embeddings of any images, to search among.",
    {
        "features": Array("float32", ("n", "D"), "L2-normalised embedding", unit_rows=True),
        "path": Array("str", ("n",), "image file, absolute"),
    },
)

SCHEMAS: dict[str, Schema] = {
    schema.name: schema
    for schema in (
        INDEX,
        PIXELS,
        FEATURES,
        GRAPH,
        CLUSTERS,
        RANKS,
        JUDGEMENTS,
        METADATA,
        RELATIONS,
        RANKINGS,
        GALLERY,
    )
}
