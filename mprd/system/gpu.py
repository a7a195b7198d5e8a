"""Which GPU a setting means, without loading torch where there is none."""

from pathlib import Path


def gpu_number(device: str) -> int | None:
    """Return the number of the GPU on which work is done; None: on the CPU.

    Loading torch takes 2 s, so this loads it only where a GPU is asked for or may be there.

    Args:
        device: auto, cpu, cuda or cuda:N.

    Raises:
        UserError: a GPU is asked for and there is none of that number.
    """
    if device == "cpu" or (device == "auto" and not _driver_found()):
        return None
    from mprd.system.torch_setup import select_device

    chosen = select_device(device)
    return None if chosen.type == "cpu" else chosen.index or 0


def _driver_found() -> bool:
    dev = Path("/dev")
    return any(dev.glob("nvidia[0-9]*")) or (dev / "dxg").exists()
