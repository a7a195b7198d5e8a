"""The machine: CPUs, memory, and how torch is set up."""
