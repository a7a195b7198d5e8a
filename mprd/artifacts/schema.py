"""What each HDF5 artifact holds: the single source for writer, reader, `inspect` and the docs."""

from mprd.artifacts.added_schema import ADDED
from mprd.artifacts.declaration import Array, Schema, graph_fault
from mprd.artifacts.relation_schemas import COLLECTED, JUDGEMENTS, METADATA, RANKS, RELATIONS
from mprd.artifacts.time_schemas import TRANSITIONS
from mprd.artifacts.tree_arrays import TREE, tree_fault

SPLITS = ("train", "query", "gallery")

INDEX = Schema(
    "mprd.index",
    4,
    "index",
    "Every image of a data set, in the order that all later artifacts follow.",
    {
        "path": Array("str", ("n",), "image path relative to the attribute `root`"),
        "split": Array("uint8", ("n",), "0 train, 1 query, 2 gallery", maximum=2),
        "identity": Array(
            "int32", ("n",), "identity, -1 unknown; never used for training", minimum=-1
        ),
        "camera": Array("int16", ("n",), "camera, zero-based, -1 unknown", minimum=-1),
        "time": Array(
            "float64",
            ("n",),
            "when the image was taken, in the unit of the attribute `time_unit`; NaN unknown",
            finite=False,
        ),
        "track": Array(
            "int32",
            ("n",),
            "track: images of one object that one camera saw without a break; numbered by first "
            "appearance, -1 unknown",
            minimum=-1,
        ),
        "width": Array("int32", ("n",), "width of the image file", units="pixels", minimum=1),
        "height": Array("int32", ("n",), "height of the image file", units="pixels", minimum=1),
        "sha256": Array("str", ("n",), "SHA-256 of the image file, hexadecimal"),
        "identity_names": Array(
            "str", ("I",), "names of the identities 0, 1, ...; none: they have numbers only"
        ),
        "track_names": Array("str", ("T",), "names of the tracks 0, 1, ..."),
        "side": Array(
            "int8",
            ("n",),
            "side of the animal that the image shows, where sides are known; -1 unknown",
            minimum=-1,
            optional=True,
        ),
        "side_names": Array("str", ("Z",), "names of the sides 0, 1, ...", optional=True),
    },
    {
        "dataset": "name of the data set",
        "root": "absolute folder that `path` is relative to",
        "camera_names": "names of the cameras 0, 1, ... (JSON); []: they have numbers only",
        "time_unit": 'seconds (dates: since the beginning of 1970) or frames; "": no image has a '
        "time",
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
            "uint8", ("n", "H", "W", 3), "RGB image, bicubic resize of the file", streamed=True
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
            "float32", ("N", "D"), "L2-normalised embedding", unit_rows=True, others=("float16",)
        ),
        "row": Array("int64", ("N",), "row of the image in the index", minimum=0),
    },
    {"splits": "splits covered, comma-separated"},
)

GRAPH = Schema(
    "mprd.graph",
    4,
    "graph",
    "Nearest neighbours and the sparse k-reciprocal Jaccard distance of the training images. The "
    "first image of a track stands for all of it: the others have its list, and no stored pairs.",
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
    graph_fault,
)

CLUSTERS = Schema(
    "mprd.clusters",
    6,
    "cluster",
    "Pseudo-labels of the training images; with `cluster.method: linkage` also the merge tree, "
    "which `mprd recluster` cuts elsewhere.",
    {
        "labels": Array("int32", ("N",), "cluster, -1 outlier", minimum=-1, below="N"),
        "sizes": Array("int32", ("K",), "images in each cluster", minimum=1),
        "number": Array(
            "int32",
            ("K",),
            "what people call each cluster: its label, or at the end of a run the number that it "
            "had before",
            minimum=0,
        ),
        "name": Array(
            "str",
            ("K",),
            "what people call the identity of each cluster (mprd browse), nothing where it has no "
            "name",
            optional=True,
        ),
        "undecided": Array(
            "int32",
            ("N",),
            "number of each image's cluster without the decisions of people, where there are some; "
            "-1 outlier",
            minimum=-1,
            optional=True,
        ),
        "membership": Array(
            "float32",
            ("N",),
            "mean relation (1 - distance, or p) to the others of the cluster, 0 for outliers",
            minimum=0,
            maximum=1,
        ),
        **TREE,
    },
    {
        "eps": "radius used (after widening, if any; NaN: linkage)",
        "gamma": "mean relation that a community had to reach, as chosen if `auto` (NaN: none)",
        "threshold": "largest mean distance of clusters that linkage joined (NaN: not linkage)",
        "relation": "the similarity that was clustered: jaccard, or judged by the relation GCN",
        "independence": "threshold of SpCL's criterion, set in epoch 1 (NaN: not `self_paced`)",
        "num_outliers": "images without a cluster",
        "confident_together": "share in one cluster of the pairs that are mutually nearest across "
        "two cameras (without cameras: mutually nearest); NaN: none",
        "cohesion": "mean of 1 - Jaccard distance of an image to the others of its cluster; "
        "outliers count 0",
        "health": "self-agreement, the geometric mean of the two: how well the clusters fit the "
        "distances they were made from, right or wrong (NaN: no confident pairs)",
        "nmi": "normalised mutual information with the identities (NaN: unknown)",
        "ari": "adjusted Rand index (NaN: unknown)",
        "pair_precision": "share of same-cluster pairs that are one identity (NaN: unknown)",
        "pair_recall": "share of same-identity pairs that are in one cluster (NaN: unknown)",
        "pair_f1": "harmonic mean of pair precision and recall (NaN: unknown)",
        "cross_recall": "pair recall among pairs of two cameras (NaN: unknown)",
    },
    tree_fault,
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
        TRANSITIONS,
        RANKS,
        JUDGEMENTS,
        METADATA,
        RELATIONS,
        COLLECTED,
        RANKINGS,
        GALLERY,
        ADDED,
    )
}
