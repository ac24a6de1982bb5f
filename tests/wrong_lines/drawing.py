"""Wrong lines drawn by a seed from the wiring of the product.

Wiring is a function of `search` that calls at least three others of other files, in a file that neither parses a
command line nor draws on the screen (it imports neither typer nor rich's live parts). What a mistake there looks like:
two arguments swapped, an argument left out or given another name of the same type, a field read instead of its
neighbour, a comparison or a condition turned round, a count one off, one side of an ``or`` forgotten.

Left out is what no test should look at: texts, error messages, annotations. The draw depends on names and texts alone,
so that moving a file changes nothing.
"""

from __future__ import annotations

import ast
import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.wrong_lines.product import Function, Module, WrongLine, functions_of, with_wrong_line

DRAWN = 64
SEED = 13

_CALLS_OF_WIRING = 3
_MOST_OF_A_FUNCTION = 2
_SCREEN = ("typer", "rich.live", "rich.table", "rich.progress", "rich.console", "rich.text")
_SAYS = {"say", "fact", "station", "print", "warn", "debug", "info", "warning", "log", "escape", "join"}
_SYMMETRIC = {"max", "min", "array_equal", "allclose", "isclose", "equal", "replace", "isinstance", "getattr"}
_NO_COUNT = {"axis", "indent", "timespec", "ndmin", "dtype"}
_TURNED: dict[type[ast.cmpop], str] = {
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}


@dataclass(frozen=True)
class _Parameter:
    name: str
    annotation: str
    has_default: bool


@dataclass(frozen=True)
class _Edit:
    """Another text for a part of a function."""

    kind: str
    node: ast.AST
    start: int
    end: int
    new: str


class _Names:
    """What the product's names mean, where a name means one thing only.

    Attributes:
        parameters: Function, method or class to what it is called with.
        members: Attribute to the names of the same type beside it in its class.
    """

    def __init__(self, modules: Iterable[Module]) -> None:
        called: dict[str, list[tuple[_Parameter, ...]]] = defaultdict(list)
        classes: dict[str, list[dict[str, str]]] = defaultdict(list)
        for module in modules:
            for function in functions_of(module):
                if not function.name.rpartition(".")[2].startswith("__"):
                    skip = "." in function.name and not _is_static(function.node)
                    called[function.name.rpartition(".")[2]].append(_parameters(function.node.args)[int(skip) :])
            for node in ast.walk(module.tree):
                if isinstance(node, ast.ClassDef):
                    members = _members(node)
                    called[node.name].append(_constructor(node))
                    for name in members:
                        classes[name].append(members)
        self.parameters = {name: found[0] for name, found in called.items() if len(found) == 1}
        self.members = {name: _neighbours(name, found) for name, found in classes.items()}


def _is_static(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(each, ast.Name) and each.id == "staticmethod" for each in node.decorator_list)


def _parameters(arguments: ast.arguments) -> tuple[_Parameter, ...]:
    positional = [*arguments.posonlyargs, *arguments.args]
    bare = len(positional) - len(arguments.defaults)
    found = [_Parameter(each.arg, _text(each.annotation), place >= bare) for place, each in enumerate(positional)]
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return (*found, *(_Parameter(each.arg, _text(each.annotation), default is not None) for each, default in pairs))


def _constructor(node: ast.ClassDef) -> tuple[_Parameter, ...]:
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and each.name == "__init__":
            return _parameters(each.args)[1:]
    fields = [each for each in node.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)]
    return tuple(_Parameter(each.target.id, _text(each.annotation), each.value is not None) for each in fields)  # type: ignore[union-attr]


def _members(node: ast.ClassDef) -> dict[str, str]:
    """Name to type, of what an instance has: fields, and methods that are called alike."""
    members = {}
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            members[each.target.id] = _text(each.annotation)
        elif isinstance(each, ast.FunctionDef) and not each.name.startswith("__") and each.returns is not None:
            is_property = any("property" in _text(decorator) for decorator in each.decorator_list)
            arguments = ", ".join(f"{one.name}: {one.annotation}" for one in _parameters(each.args)[1:])
            members[each.name] = _text(each.returns) if is_property else f"({arguments}) -> {_text(each.returns)}"
    return members


def _neighbours(name: str, classes: Sequence[dict[str, str]]) -> list[str]:
    """What stands beside an attribute with the same type, in every class that has it."""
    common = set.intersection(*({other for other in each if each[other] == each[name]} for each in classes))
    nothing = {"() -> None"}
    return sorted(other for other in common - {name} if classes[0][other] not in nothing)


def _text(node: ast.AST | None) -> str:
    return "" if node is None else ast.unparse(node)


def wiring(modules: Sequence[Module]) -> list[Function]:
    """The functions that wrong lines are drawn from."""
    everything = {name for module in modules for name in _defined(module)}
    found = []
    for module in modules:
        if module.path.parts[0] != "search" or _imports(module) & set(_SCREEN):
            continue
        elsewhere = everything - set(_defined(module))
        for function in functions_of(module):
            called = {_called(node) for node in ast.walk(function.node) if isinstance(node, ast.Call)}
            passes_on = len({name for name in called & elsewhere if not name.endswith("Error")}) >= _CALLS_OF_WIRING
            if passes_on and not _is_text(function):
                found.append(function)
    return found


def _defined(module: Module) -> Iterator[str]:
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
            if isinstance(node, ast.ClassDef):
                yield from (each.name for each in node.body if isinstance(each, ast.FunctionDef))


def _imports(module: Module) -> set[str]:
    return {
        name
        for node in module.tree.body
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }


def _is_text(function: Function) -> bool:
    last = function.name.rpartition(".")[2].lstrip("_")
    return _text(function.node.returns) in {"str", "list[str]"} or last.startswith(("describe", "as_text"))


def draw(
    modules: Sequence[Module], *, count: int = DRAWN, seed: int = SEED, besides: Collection[str] = ()
) -> list[WrongLine]:
    """Draw wrong lines, of each kind as many as of every other as far as there are any.

    Args:
        modules: The product.
        count: How many.
        seed: Of the draw.
        besides: Keys of lines that are not to be drawn.
    """
    names = _Names(modules)
    by_kind: dict[str, list[tuple[str, WrongLine]]] = defaultdict(list)
    files: dict[str, Function] = {}
    for function in wiring(modules):
        parents = {child: node for node in ast.walk(function.node) for child in ast.iter_child_nodes(node)}
        for edit in _edits(function, names):
            line = _wrong_line(function, edit, parents)
            if line is not None and line.key not in besides:
                files[line.key] = function
                rank = hashlib.sha256(f"{seed} {line.function} {line.old} {line.new}".encode()).hexdigest()
                by_kind[edit.kind].append((rank, line))
    waiting = {kind: [line for _, line in sorted(lines, key=lambda each: each[0])] for kind, lines in by_kind.items()}
    drawn: list[WrongLine] = []
    taken: dict[str, int] = defaultdict(int)
    while len(drawn) < count and any(waiting.values()):
        for kind in sorted(waiting):
            while waiting[kind]:
                line = waiting[kind].pop(0)
                function = files[line.key]
                if taken[function.key] < _MOST_OF_A_FUNCTION and _is_another_program(line, function):
                    taken[function.key] += 1
                    drawn.append(line)
                    break
    return drawn[:count]


def _wrong_line(function: Function, edit: _Edit, parents: dict[ast.AST, ast.AST]) -> WrongLine | None:
    """The edit with so much around it that its old text is there once; None where only the whole function is."""
    module, text = function.module, function.text
    start, end = edit.start, edit.end
    node: ast.AST | None = edit.node
    while text.count(module.source[start:end].decode()) != 1:
        while node is not None and not (hasattr(node, "lineno") and module.span(node) != (start, end)):
            node = parents.get(node)
        if node is None or node is function.node:
            return None
        start, end = min(start, module.span(node)[0]), max(end, module.span(node)[1])
        node = parents.get(node)
    old = module.source[start:end].decode()
    new = (module.source[start : edit.start] + edit.new.encode() + module.source[edit.end : end]).decode()
    return WrongLine(function.name, old, new, kind=edit.kind)


def _is_another_program(line: WrongLine, function: Function) -> bool:
    try:
        tree = ast.parse(with_wrong_line(line, function))
    except SyntaxError:
        return False
    return ast.dump(tree) != ast.dump(function.module.tree)


def _edits(function: Function, names: _Names) -> Iterator[_Edit]:
    module, skipped = function.module, _skipped(function.node)
    alike = _alike(function)

    def instead(kind: str, node: ast.AST, new: str) -> _Edit:
        return _Edit(kind, node, *module.span(node), new)

    for node in ast.walk(function.node):
        if node in skipped:
            continue
        match node:
            case ast.Call():
                yield from _call_edits(node, module, names, alike, instead)
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                turned = f"{module.text(left)} {_TURNED[type(operator)]} {module.text(right)}"
                yield instead("comparison", node, turned)
            case ast.BoolOp(values=[first, *_]):
                yield instead("operand", node, module.text(first))
            case ast.Constant(value=int() as value) if not isinstance(value, bool):
                yield instead("count", node, str(value + 1))
            case ast.Attribute(attr=name, value=value, ctx=ast.Load()):
                for other in names.members.get(name, []):
                    yield instead("attribute", node, f"{module.text(value)}.{other}")
        if isinstance(node, ast.If | ast.IfExp) and not _only_says(node):
            yield instead("condition", node.test, f"(not ({module.text(node.test)}))")
        if isinstance(node, ast.comprehension):
            for test in node.ifs:
                yield instead("condition", test, f"(not ({module.text(test)}))")


def _only_says(node: ast.If | ast.IfExp) -> bool:
    """Whether a condition decides on nothing but a message."""
    return isinstance(node, ast.If) and all(
        isinstance(each, ast.Expr) and isinstance(each.value, ast.Call) and _called(each.value) in _SAYS
        for each in node.body
    )


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def _call_edits(node: ast.Call, module: Module, names: _Names, alike, instead) -> Iterator[_Edit]:  # type: ignore[no-untyped-def]
    callee = _called(node)
    known = names.parameters.get(callee)
    plain = (ast.Name, ast.Attribute, ast.Subscript, ast.Call)
    for place, (first, second) in enumerate(pairwise(node.args)):
        texts = module.text(first), module.text(second)
        if callee in _SYMMETRIC or texts[0] == texts[1] or not (isinstance(first, plain) and isinstance(second, plain)):
            continue
        if known is not None and (len(known) <= place + 1 or known[place].annotation != known[place + 1].annotation):
            continue  # of other types: any call fails at once
        start, end = module.span(first)[0], module.span(second)[1]
        yield _Edit("swapped", node, start, end, f"{texts[1]}, {texts[0]}")
    parameters = {each.name: each for each in known or ()}
    for keyword in node.keywords:
        parameter = parameters.get(keyword.arg or "")
        if isinstance(keyword.value, ast.Name):
            for other in alike.get(keyword.value.id, ()):
                yield instead("another name", keyword.value, other)
        if parameter is not None and parameter.has_default:
            start, end = module.span(keyword)
            rest = module.source[end:].decode(errors="ignore")
            comma = len(rest) - len(rest.lstrip()) + 1 if rest.lstrip().startswith(",") else 0
            yield _Edit("left out", node, start, end + comma, "")
        is_count = parameter is not None and parameter.annotation == "int" and "seed" not in parameter.name
        if is_count and not isinstance(keyword.value, ast.Constant):
            yield instead("count", keyword.value, f"({module.text(keyword.value)}) + 1")
    for argument in node.args:
        if isinstance(argument, ast.Name):
            for other in alike.get(argument.id, ()):
                if other not in [module.text(each) for each in node.args]:
                    yield instead("another name", argument, other)


def _alike(function: Function) -> dict[str, list[str]]:
    """Name to the others in scope that are of its kind: parameters of one type, names unpacked from one value."""
    groups: dict[str, set[str]] = defaultdict(set)
    for parameter in _parameters(function.node.args):
        if parameter.annotation:
            groups[f": {parameter.annotation}"].add(parameter.name)
    for node in ast.walk(function.node):
        match node:
            case (
                ast.Assign(targets=[ast.Tuple(elts=targets)], value=value)
                | ast.For(target=ast.Tuple(elts=targets), iter=value)
                | ast.comprehension(target=ast.Tuple(elts=targets), iter=value)
            ) if not isinstance(value, ast.Tuple) and "enumerate(" not in _text(value) and "zip(" not in _text(value):
                groups[_text(node)].update(each.id for each in targets if isinstance(each, ast.Name) and each.id != "_")
    found: dict[str, list[str]] = defaultdict(list)
    for group in groups.values():
        for name in group:
            found[name] += sorted(group - {name})
    return found


def _skipped(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[ast.AST]:
    """What is text for people, or for the type checker."""
    roots: list[ast.AST] = [*function.decorator_list, *([function.returns] if function.returns else [])]
    roots += [each.annotation for each in ast.walk(function) if isinstance(each, ast.arg) and each.annotation]
    for node in ast.walk(function):
        match node:
            case ast.Raise() | ast.JoinedStr() | ast.Assert():
                roots.append(node)
            case ast.AnnAssign(annotation=annotation):
                roots.append(annotation)
            case ast.Call() if _called(node) in _SAYS or _called(node).endswith("Error"):
                roots.append(node)
            case ast.keyword(arg=str() as name, value=value) if name in _NO_COUNT:
                roots.append(value)
    return {node for root in roots for node in ast.walk(root)}
