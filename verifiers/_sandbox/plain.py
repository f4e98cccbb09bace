"""Which tests may share their processes: assertions that can change nothing where they run."""

import ast
import builtins
import contextlib

# Built-in functions that change nothing; a name that is not built in is the code's, and what is
# called of that happens in the code's process.
_HARMLESS = {
    *("abs", "all", "any", "bool", "bytes", "complex", "dict", "divmod", "enumerate", "filter"),
    *("float", "frozenset", "int", "isinstance", "len", "list", "map", "max", "min", "pow"),
    *("range", "repr", "reversed", "round", "set", "slice", "sorted", "str", "sum", "tuple", "zip"),
}
_NODES = (
    *(ast.Module, ast.Assert, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.IfExp),
    *(ast.Call, ast.keyword, ast.Starred, ast.Name, ast.Constant, ast.List, ast.Tuple, ast.Set),
    *(ast.Dict, ast.Subscript, ast.Slice, ast.ListComp, ast.SetComp, ast.DictComp),
    *(ast.GeneratorExp, ast.comprehension, ast.operator, ast.unaryop, ast.boolop, ast.cmpop),
    *(ast.Load, ast.Store),
)


# What `parse` raises.
UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError, SystemError)
_TRIES = 20


def parse(source: str) -> ast.Module:
    """Return the tree of Python source.

    Where another thread parses at the same time, Python 3.11 may say of source without a fault "AST
    constructor recursion depth mismatch" (github.com/python/cpython/issues/106905); it is read
    again then.

    Raises:
        UNREADABLE: It cannot be read.
    """
    for _ in range(_TRIES - 1):
        with contextlib.suppress(SystemError):
            return ast.parse(source)
    return ast.parse(source)


def is_plain(test: str) -> bool:
    """Return whether a test is an assertion of calls by name, literals and operators alone.

    It has no import, attribute, definition or assignment, so that a test that runs after it in the
    same interpreter finds that as it was.
    """
    try:
        nodes = list(ast.walk(parse(test)))
    except UNREADABLE:
        return False
    return all(isinstance(node, _NODES) and _is_harmless(node) for node in nodes)


def _is_harmless(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name)
    if not isinstance(node, ast.Name):
        return True
    return node.id in _HARMLESS or not (hasattr(builtins, node.id) or "__" in node.id)
