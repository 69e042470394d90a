"""Deterministic stand-in weights for a state-dict manifest (name -> shape).

Every tensor is drawn from numpy's PCG64 seeded by SHA-256 of "<seed>:<name>",
so any two programs that agree on names and shapes agree on the weights.
"""

import hashlib

import numpy as np


def tensor(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "little")))
    if name.endswith("num_batches_tracked"):
        return np.array(1, dtype=np.int64)
    if name.endswith("running_var"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if name.endswith("running_mean"):
        return (0.1 * rng.standard_normal(shape)).astype(np.float32)
    if len(shape) <= 1:  # norm scales, biases, layer scales
        base = 1.0 if name.endswith(("weight", "gamma")) else 0.0
        return (base + 0.1 * rng.standard_normal(shape)).astype(np.float32)
    fan_in = int(np.prod(shape[1:]))
    return (rng.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32)


def state_dict(manifest: dict[str, list[int]], seed: int) -> dict[str, np.ndarray]:
    return {name: tensor(name, tuple(shape), seed) for name, shape in manifest.items()}
