"""`python -m mprd.pipeline.snakemake_process`: Snakemake, which Ctrl-C ends without a traceback.

`mprd run` starts it, and says what there is to say.
"""

import signal
import sys


def main() -> None:
    """Run Snakemake with the arguments of this process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while it is imported nothing is to be tidied
    from snakemake.cli import main as snakemake

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        snakemake()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()
