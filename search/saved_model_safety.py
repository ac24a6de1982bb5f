"""Is a SavedModel's forward pass arithmetic alone? Asked of the file, before TensorFlow opens it.

A SavedModel is a program: its graph may write and delete files, and TensorFlow runs some of it on loading. Operations
that have an effect are stateful in TensorFlow's registry; of those only the ones that a network needs are let through,
and what is in no registry is not run either. The operations that save a checkpoint stand in every SavedModel, outside
of what loading and calling it reach.
"""

from __future__ import annotations

from pathlib import Path

from search.errors import WeightsError

_VARIABLES_AND_CALLS = {
    "AssignVariableOp",
    "Placeholder",
    "ReadVariableOp",
    "StatefulPartitionedCall",
    "VarHandleOp",
    "VarIsInitializedOp",
}


def require_arithmetic(directory: Path) -> None:
    """Refuse a module that does more than compute.

    Args:
        directory: Folder of the SavedModel.

    Raises:
        WeightsError: If it can't be read, is of TensorFlow 1, or reaches an operation that is none of a network's.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.python.framework import op_def_registry

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString((directory / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise _refused(directory, f"a saved_model.pb that can't be read ({type(error).__name__})") from None
    for graph in model.meta_graphs:
        if not graph.HasField("object_graph_def"):
            raise _refused(directory, "a graph of TensorFlow 1, which runs as a whole when it is opened")
        functions = {function.signature.name: function for function in graph.graph_def.library.function}
        waiting, seen = list(graph.object_graph_def.concrete_functions), set()
        while waiting:
            name = waiting.pop()
            if name in seen or name not in functions:
                continue
            seen.add(name)
            for node in functions[name].node_def:
                definition = op_def_registry.get(node.op)
                pure = definition is not None and not definition.is_stateful
                if not pure and node.op not in functions and node.op not in _VARIABLES_AND_CALLS:
                    raise _refused(directory, f"the operation {node.op}")
                waiting.append(node.op)
                for value in node.attr.values():
                    waiting += [value.func.name, *(function.name for function in value.list.func)]


def _refused(directory: Path, found: str) -> WeightsError:
    return WeightsError(
        expected=f"a SavedModel that only computes in {directory}",
        found=found,
        remedy="Use TF-Hub's own module, or weights as .npz or .safetensors, which hold no program.",
    )
