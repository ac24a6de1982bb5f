"""The device that a run computes on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from search.machine.libraries import versions


def device_description() -> str:
    """What the search computes on, in words; starts TensorFlow."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        names = [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus]
        return ", ".join(names)
    cores = os.cpu_count()
    return f"CPU ({cores} core{'s' if cores != 1 else ''})"


def arithmetic() -> str:
    """What frozen features are computed with, for another library or kind of device gives other bits: "tensorflow
    2.21.0, keras 3.15.1, CPU"."""
    here, device = versions(), device_description()
    # Cores don't count: with op determinism the bits don't depend on the number of threads.
    kind = "CPU" if device.startswith("CPU") else device
    return f"tensorflow {here['tensorflow']}, keras {here['keras']}, {kind}"


def processor_name() -> str:
    """The processor's model, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return model or platform.processor() or platform.machine()
