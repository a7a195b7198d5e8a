"""How often training looks at its losses."""

CHECK_EVERY = 20  # steps between two looks, for which the host waits for the device
