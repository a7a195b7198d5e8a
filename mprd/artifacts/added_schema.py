"""What the HDF5 artifact of images that came to a finished run holds; see `schema.py`."""

from mprd.artifacts.declaration import Array, Schema

ADDED = Schema(
    "mprd.added",
    1,
    "add",
    "Images that came to a finished run, in the order in which they came, and their clusters. They "
    "are listed in `clusters.csv` behind the images of the run. A place is an image of the run, or "
    "all images of a track; the added images follow.",
    {
        "path": Array(
            "str", ("N",), "image file: below the folder of the run's images, else absolute"
        ),
        "sha256": Array("str", ("N",), "SHA-256 of the file, hexadecimal"),
        "camera": Array("str", ("N",), "name of the camera, nothing where it is unknown"),
        "time": Array("float64", ("N",), "as in the index of the run, NaN: unknown", finite=False),
        "side": Array("str", ("N",), "side of the animal, nothing where it is unknown"),
        "width": Array("int32", ("N",), "width of the image", units="pixels", minimum=1),
        "height": Array("int32", ("N",), "height of the image", units="pixels", minimum=1),
        "batch": Array("int32", ("N",), "which `mprd add` brought it, from 1", minimum=1),
        "features": Array("float32", ("N", "D"), "L2-normalised embedding", unit_rows=True),
        "number": Array(
            "int32",
            ("N",),
            "number of its cluster, known or new; -1 outlier",
            minimum=-1,
        ),
        "undecided": Array("int32", ("N",), "the same without the decisions of people", minimum=-1),
        "name": Array("str", ("N",), "name of its cluster, nothing where it has no name"),
        "membership": Array(
            "float32",
            ("N",),
            "mean relation (1 - Jaccard distance) to the others of the cluster, 0 for outliers",
            minimum=0,
            maximum=1,
        ),
        "indptr": Array("int64", ("N+1",), "CSR row pointer of the Jaccard distances", minimum=0),
        "indices": Array("int32", ("nnz",), "CSR column indices: places, sorted", minimum=0),
        "data": Array("float32", ("nnz",), "Jaccard distance", minimum=0, maximum=1),
    },
    {
        "places": "places of the run, before those of the added images",
        "following": "number that the next new cluster gets: no cluster of the run ever had it or "
        "a larger one",
    },
)
