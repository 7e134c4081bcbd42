"""Named tensors: their hash, and files that detect any damage."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from resilience.system.cache import DamagedCacheError


def state_sha256(state: Mapping[str, Tensor]) -> str:
    """sha256 of named tensors, by name: names, types, shapes, and bytes in row-major order."""
    content = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        row_major = tensor.detach().cpu().contiguous().reshape(-1)
        content.update(row_major.view(torch.uint8).numpy().data)
    return content.hexdigest()


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write named tensors and their sha256."""
    save_file(tensors, path, {"sha256": state_sha256(tensors)})


def load_tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """Read named tensors, memory-mapped from the file, and their sha256.

    Raises
    ------
    DamagedCacheError
        If any bit differs from what was written.
    """
    try:
        with safe_open(path, "pt") as file:
            claimed = file.metadata()["sha256"]
        tensors = load_file(path)
    except (SafetensorError, KeyError, TypeError) as error:
        raise DamagedCacheError(str(error)) from error
    if state_sha256(tensors) != claimed:
        raise DamagedCacheError("its content does not match its sha256")
    return tensors, claimed
