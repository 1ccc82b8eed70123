# SPDX-License-Identifier: GPL-2.0-or-later
"""What OMERO's slice modules declare: the members of classes, and the operations of interfaces.

omero-py's generated modules hand their declarations to IcePy, which answers no questions about them. So they
are run a second time, in name spaces of their own, against a stand-in that writes down what it is told. The
real modules stay as they are, and it does not matter whether a program has imported them before.
"""

import functools
import importlib.util
import pkgutil
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Operation", "SliceClass", "Slices", "slices"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of an interface.

    Parameters
    ----------
    name
        As in slice.
    asynchronous
        The servant gets a callback to answer to (AMD).
    answers
        How many values it gives back: the return value, if any, and the out parameters.
    changes
        Slice does not call it idempotent.
    """

    name: str
    asynchronous: bool
    answers: int
    changes: bool

    def deprecate(self, _why: str) -> None:
        """Say nothing of it: clients still call what is deprecated."""


@dataclass(slots=True)
class SliceClass:
    """A class or interface: its slice name, its parents, its own members (name → slice name of the type)."""

    name: str
    parents: tuple[str, ...]
    members: tuple[tuple[str, str], ...]
    operations: dict[str, Operation] = field(default_factory=dict)


@dataclass(slots=True)
class Slices:
    """Everything that was declared, by slice name ("::omero::model::Image")."""

    classes: dict[str, SliceClass] = field(default_factory=dict)
    sequences: dict[str, str] = field(default_factory=dict)

    def operations(self, name: str) -> Mapping[str, Operation]:
        """The operations of an interface, inherited ones included."""
        known = self.classes[name]
        found: dict[str, Operation] = {}
        for parent in known.parents:
            if parent in self.classes:
                found |= self.operations(parent)
        return found | known.operations


class _Named(str):
    """A declared type, known by its slice name."""


class _Anything:
    """Stands for whatever of Ice the modules mention and nobody here asks about."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __call__(self, *args: object, **kwargs: object) -> "_Anything":
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything()


class _Ice(types.SimpleNamespace):
    """The stand-in for the module Ice."""

    def __getattr__(self, name: str) -> _Anything:
        return _Anything()


class _Recorder:
    """Run slice modules and keep what they declare."""

    def __init__(self) -> None:
        self.slices = Slices()
        self.python: dict[str, type] = {}
        self._modules: dict[str, types.ModuleType] = {}
        self._opened: dict[str, types.SimpleNamespace] = {}
        self._ice = _Ice(
            openModule=self._open,
            createTempClass=lambda: type("Temporary", (), {}),
            Object=type("Object", (), {}),
            ObjectPrx=type("ObjectPrx", (), {}),
            UserException=type("UserException", (Exception,), {}),
            EnumBase=type("EnumBase", (), {"__init__": lambda self, *args: None}),
            OperationMode=types.SimpleNamespace(Normal="n", Idempotent="i", Nonmutating="i"),
            getType=type,
            sliceChecksums={},
        )
        self._icepy = _IcePy(self)
        self._builtins = dict(vars(__import__("builtins"))) | {"__import__": self._import}

    def _open(self, name: str) -> types.SimpleNamespace:
        if name not in self._opened:
            self._opened[name] = types.SimpleNamespace()
            parent, _, last = name.rpartition(".")
            if parent:
                setattr(self._open(parent), last, self._opened[name])
        return self._opened[name]

    def _import(self, name: str, *args: object, **kwargs: object) -> object:
        if name == "Ice":
            return self._ice
        if name == "IcePy":
            return self._icepy
        if name.endswith("_ice"):
            return self.run(name)
        return __import__(name, *args, **kwargs)  # type: ignore[arg-type]

    def run(self, name: str) -> types.ModuleType:
        """Run one slice module, and those that it imports."""
        if name not in self._modules:
            module = self._modules[name] = types.ModuleType(name)
            vars(module)["__builtins__"] = self._builtins
            spec = importlib.util.find_spec(name)
            code = spec.loader.get_code(name) if spec and spec.loader else None  # type: ignore[attr-defined]
            if code is None:
                raise ImportError(f"the slice module {name} cannot be read")
            exec(code, vars(module))  # noqa: S102  (an installed module, run as import would run it)
        return self._modules[name]


class _IcePy:
    """The stand-in for the module IcePy."""

    def __init__(self, recorder: _Recorder) -> None:
        self._slices = recorder.slices
        self._python = recorder.python

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_t_"):
            return _Named(name[3:])
        if name.startswith(("declare", "define")):
            return lambda slice_name, *_rest: _Named(slice_name)
        return _Anything()

    def defineSequence(self, name: str, _meta: object, element: str) -> _Named:
        self._slices.sequences[name] = str(element)
        return _Named(name)

    def defineClass(self, name: str, *rest: Any) -> _Named:
        python, _compact, _meta, _abstract, _preserve, base, interfaces, members = rest
        parents = tuple(str(p) for p in (*([base] if base else []), *interfaces))
        self._slices.classes[name] = SliceClass(name, parents, tuple((m[0], str(m[2])) for m in members))
        self._python[name] = python
        return _Named(name)

    def Operation(self, *args: Any) -> Operation:
        name, mode, _send, asynchronous, _format, _meta, _in, out, returned = args[:9]
        return Operation(name, bool(asynchronous), len(out) + (returned is not None), mode == "n")


@functools.cache
def slices() -> Slices:
    """Everything that omero-py's slice modules declare. Read once, in about 0.2 s."""
    recorder = _Recorder()
    for module in pkgutil.iter_modules():
        if module.name.startswith("omero_") and module.name.endswith("_ice"):
            recorder.run(module.name)
    for name, python in recorder.python.items():
        operations = {k[4:]: v for k, v in vars(python).items() if k.startswith("_op_")}
        recorder.slices.classes[name].operations.update(operations)
    return recorder.slices
