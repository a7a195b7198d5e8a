"""Exact neighbours beside the bare matrix product: `python benchmarks/neighbors.py`."""

from common import Row, arguments, compare, embeddings, report

from mprd.graph import knn

ROWS = 1024


def main() -> None:
    options = arguments(__doc__, n=12_936, dim=2048, runs=5)
    features, _ = embeddings(options.n, options.dim)

    def product() -> None:
        """All similarities, block by block, each thrown away."""
        for start in range(0, options.n, ROWS):
            features[start : start + ROWS] @ features.T

    found = compare(lambda: knn(features, 30), product, options.runs)
    share = 1 / found.ratio
    limit = 128 + 64  # the setting, and what is returned
    rows = [
        Row(
            "kNN exact (faiss)",
            f"N={options.n:,}, D={options.dim}",
            f"{share:.2f}x the bare product",
            "1.3x",
            share <= 1.3,
            f"{found.times()}; top 30 and the exact order of ties included",
        ),
        Row(
            "kNN exact, extra memory",
            f"N={options.n:,}, D={options.dim}",
            f"{found.peak:.0f} MiB",
            "a setting (128 MiB) + result",
            found.peak <= limit,
            "graph.search_memory_mb",
        ),
    ]
    report(rows, options.json)


if __name__ == "__main__":
    main()
