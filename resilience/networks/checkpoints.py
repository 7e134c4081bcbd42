"""Loading weights from files."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from resilience.system.errors import UserError

_TRAINING_HEADS = ("AuxLogits.", "aux1.", "aux2.")
"""Heads of torchvision's GoogLeNet and InceptionV3 that are only used in training."""


def load_file(network: nn.Module, path: Path) -> None:
    """Load a network's weights from a .pth or .safetensors file, which must match key by key.

    Entries of training-only heads are ignored if the network has none.

    Raises
    ------
    UserError
        If the file can't be read, holds no state dict, or does not match the network; says how.
    """
    state = _read(path)
    wanted = network.state_dict()
    state = {
        name: tensor
        for name, tensor in state.items()
        if name in wanted or not name.startswith(_TRAINING_HEADS)
    }
    wrong = {
        "missing": wanted.keys() - state.keys(),
        "unexpected": state.keys() - wanted.keys(),
        "of a different shape": {
            name for name in wanted.keys() & state.keys() if wanted[name].shape != state[name].shape
        },
    }
    complaints = [
        f"{len(names)} {what} ({', '.join(sorted(names)[:3])}{', ...' if len(names) > 3 else ''})"
        for what, names in wrong.items()
        if names
    ]
    if complaints:
        raise UserError(f"the weights in {path} do not match the network: {'; '.join(complaints)}")
    network.load_state_dict(state)


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and pickle may raise almost anything for other files
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path} can't be read as weights: {reason}") from error
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{path} does not contain a state dict (tensors by name)")
    return state
