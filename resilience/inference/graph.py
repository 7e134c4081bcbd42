"""Segments of a traced network, and the values needed to start from a node."""

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx

Nodes = list[fx.Node]


def first_uses(network: fx.GraphModule) -> dict[int, int]:
    """Position of the first node that uses each parameter or buffer, by its `id`."""
    uses: dict[int, int] = {}
    for position, node in enumerate(network.graph.nodes):
        if node.op == "get_attr":
            uses.setdefault(id(_attribute(network, node.target)), position)
        elif node.op == "call_module":
            module = network.get_submodule(node.target)
            for tensor in (*module.parameters(), *module.buffers()):
                uses.setdefault(id(tensor), position)
    return uses


def needed_at(nodes: Nodes, position: int) -> Nodes:
    """Nodes before a position whose values are used at it or later, except parameters."""
    rest = set(nodes[position:])
    return [
        node
        for node in nodes[:position]
        if node.op != "get_attr" and not rest.isdisjoint(node.users)
    ]


def segment(network: fx.GraphModule, start: int, stop: int | None = None) -> fx.GraphModule:
    """The part of a network from one position up to another, or to its end.

    It shares all parameters with the network. It takes the values of `needed_at(start)`, or the
    network's input for position 0, and returns the tuple of those of `needed_at(stop)`, or the
    network's output.
    """
    nodes = list(network.graph.nodes)
    part = nodes[start:stop]
    graph = fx.Graph()
    copies = {node: graph.placeholder(node.name) for node in needed_at(nodes, start)}
    for node in nodes[:start]:
        if node.op == "get_attr" and not node.users.keys().isdisjoint(part):
            copies[node] = graph.node_copy(node)
    for node in part:
        copies[node] = graph.node_copy(node, copies.__getitem__)
    if stop is not None:
        graph.output(tuple(copies[node] for node in needed_at(nodes, stop)))
    return fx.GraphModule(network, graph)


@dataclass(slots=True)
class Profile:
    """Cost of running a network on a batch, node by node.

    Attributes
    ----------
    seconds
        Per node, in order.
    memory
        Bytes and address of each node's output, for nodes that output a tensor.
    """

    seconds: list[float] = field(default_factory=list)
    memory: dict[fx.Node, tuple[int, int]] = field(default_factory=dict)

    def size(self, nodes: Nodes) -> int | None:
        """Bytes of the values of these nodes; None unless they are tensors in separate memory."""
        if not all(node in self.memory for node in nodes):
            return None
        sizes, addresses = zip(*(self.memory[node] for node in nodes), strict=True)
        return sum(sizes) if len(set(addresses)) == len(addresses) else None


@torch.inference_mode()
def profile(network: fx.GraphModule, batch: Tensor) -> Profile:
    """Run a network on one batch and measure what each node costs."""
    meter = _Meter(network)
    meter.run(batch)
    return meter.profile


class _Meter(fx.Interpreter):
    def __init__(self, network: fx.GraphModule) -> None:
        super().__init__(network)
        self.profile = Profile()

    def run_node(self, n: fx.Node) -> object:
        clock = time.perf_counter()
        value = super().run_node(n)
        if isinstance(value, Tensor):
            if value.is_cuda:
                torch.cuda.synchronize(value.device)
            size = value.numel() * value.element_size()
            self.profile.memory[n] = size, value.untyped_storage().data_ptr()
        self.profile.seconds.append(time.perf_counter() - clock)
        return value


def _attribute(network: fx.GraphModule, target: str) -> object:
    path, _, name = target.rpartition(".")
    return getattr(network.get_submodule(path), name)
