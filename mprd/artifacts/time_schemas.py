"""What the HDF5 artifact of times holds; see `schema.py`."""

from mprd.artifacts.declaration import Array, Schema

TRANSITIONS = Schema(
    "mprd.transitions",
    1,
    "transitions",
    "How long people take between cameras, learnt from the most similar pairs of an epoch, and "
    "what the times of each stored pair speak for. A time difference is that of the camera with "
    "the larger number less that of the other; within one camera it is absolute.",
    {
        "edges": Array(
            "float64", ("E",), "between the bins of the time difference, ascending; see `unit`"
        ),
        "log_ratio": Array(
            "float32",
            ("C", "C", "B"),
            "log of (share of probable pairs in a bin / share of all pairs), for cameras a <= b",
        ),
        "seeds": Array(
            "int64", ("C", "C", "B"), "pairs that are probably one person, a <= b", minimum=0
        ),
        "background": Array(
            "float64",
            ("C", "C", "B"),
            "share of all pairs of cameras a <= b that lie in a bin",
            minimum=0,
            maximum=1,
        ),
        "evidence": Array(
            "float32",
            ("nnz",),
            "log ratio of each pair that the graph stores, in the order of its `data`, learnt from "
            "other stretches of time; 0: unknown, or times carry nothing",
        ),
    },
    {
        "unit": "of the times: seconds or frames",
        "gain": "mean evidence of the probable pairs",
        "error": "its standard error; evidence is used if the gain is above twice this",
        "auc": "area under the ROC curve of the evidence, pairs of two cameras (NaN: unknown)",
        "num_timed": "training images with a time",
    },
)
