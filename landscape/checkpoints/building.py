"""From specs to live objects: import, check the arguments against the signature, call."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
import warnings
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

from landscape.checkpoints.importing import fault, locate
from landscape.checkpoints.recipe import Spec, plain_difference
from landscape.errors import LandscapeError, TrustError, did_you_mean

__all__ = ["build", "filled", "locate", "with_argument"]

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_PLAIN = (bool, int, float, complex, str, bytes, PurePath, Enum, list, tuple, dict, set, type(None))


def build(spec: Spec, *, trust: bool, hyper_parameters: Mapping[str, Any] = types.MappingProxyType({})) -> Any:
    """The object that a spec stands for: a class or function is called with its arguments, anything else returned.

    Arguments are checked against the signature by jsonargparse, which turns ``"32"`` into 32 where an int is wanted.
    ``hyper_parameters`` come from a file: those that the signature knows fill in what the spec leaves open. What a
    file gives may not, without ``trust``, make anything else be imported (TrustError). A wrong or missing argument is a
    UsageError where the user named the spec, a CheckpointError where a file did.
    """
    found = locate(spec, trust=trust)
    if spec.live is not None and not isinstance(found, type) and not inspect.isroutine(found):
        return found
    if not callable(found) or _is_instance_of_model_or_data(found):
        return found
    known, _ = _parameters(found)
    from_file = _left_open(spec, known, hyper_parameters)
    if not trust:
        _refuse_imports(spec, found, from_file if spec.by_user else {**from_file, **spec.init_args})
    return _call(spec, found, {**from_file, **spec.init_args})


def _left_open(
    spec: Spec, known: Mapping[str, inspect.Parameter], hyper_parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments that a file keeps, as far as the signature knows them and the spec leaves them open."""
    return {name: value for name, value in hyper_parameters.items() if name in known and name not in spec.init_args}


def filled(spec: Spec, hyper_parameters: Mapping[str, Any], *, trust: bool) -> Spec:
    """The spec with what ``build`` takes from a file's hyperparameters, where that is plain, among its arguments."""
    found = locate(spec, trust=trust)
    if not callable(found) or not hyper_parameters:
        return spec
    taken = _left_open(spec, _parameters(found)[0], hyper_parameters)
    plain = {name: value for name, value in taken.items() if plain_difference(value, name) is None}
    return dataclasses.replace(spec, init_args={**plain, **spec.init_args})


def with_argument(spec: Spec, name: str, present: str, wanted: str, *, trust: bool) -> Spec | None:
    """The spec with an argument changed from one value, given or the default, to another; None if it has not that."""
    found = locate(spec, trust=trust)
    if not (isinstance(found, type) or inspect.isroutine(found)):
        return None
    known, _ = _parameters(found)
    default = known[name].default if name in known else inspect.Parameter.empty
    value = spec.init_args.get(name, default)
    if not isinstance(value, str) or value != present:
        return None
    return dataclasses.replace(spec, init_args={**spec.init_args, name: wanted})


def _is_instance_of_model_or_data(found: object) -> bool:
    import torch

    return isinstance(found, torch.nn.Module | torch.utils.data.Dataset)


def _parameters(found: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """Named parameters (of a class with ``**kwargs``, those of its bases too), and whether any other name is taken."""
    named: dict[str, inspect.Parameter] = {}
    for source in _constructors(found) if isinstance(found, type) else [found]:
        try:
            parameters = inspect.signature(source).parameters.values()
        except (TypeError, ValueError):
            return named, True
        named |= {p.name: p for p in parameters if p.kind in _BY_NAME and p.name not in named}
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            return {name: p for name, p in named.items() if name != "self"}, False
    return {name: p for name, p in named.items() if name != "self"}, True


def _constructors(kind: type) -> list[Callable[..., Any]]:
    return [vars(base)["__init__"] for base in kind.__mro__ if "__init__" in vars(base)]


def _call(spec: Spec, found: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    typed = _typed(spec, found, arguments)
    try:
        inspect.signature(found).bind(**typed)
    except TypeError as error:
        raise fault(spec, f"{spec.class_path} is {error}; it takes {_names(_parameters(found)[0])}") from None
    except ValueError:
        pass  # a builtin without a signature: the call itself tells
    try:
        return found(**typed)
    except LandscapeError:
        raise
    except (Exception, SystemExit) as error:
        raise fault(spec, f"{spec.class_path} failed with {type(error).__name__}: {error}") from error


def _names(parameters: Mapping[str, inspect.Parameter]) -> str:
    return ", ".join(parameters) or "no arguments"


def _typed(spec: Spec, found: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as the annotations want them. Only those that are given: defaults stay with the signature."""
    if not arguments:
        return {}
    known, open_ended = _parameters(found)
    unknown = [name for name in arguments if name not in known]
    if unknown and not open_ended:
        hint = did_you_mean(unknown[0], known)
        raise fault(spec, f"{spec.class_path} has no argument {unknown[0]!r}{hint} It takes {_names(known)}")
    checked = {name: value for name, value in arguments.items() if name in known}
    return {**arguments, **_validated(spec, found, checked, {name for name in known if name not in checked})}


def _validated(
    spec: Spec, found: Callable[..., Any], arguments: dict[str, Any], skip: set[str | int]
) -> dict[str, Any]:
    import jsonargparse

    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            add = parser.add_class_arguments if isinstance(found, type) else parser.add_function_arguments
            add(found, fail_untyped=False, skip=skip)
            parsed = parser.parse_object(arguments, defaults=False)
            made = parser.instantiate(parsed) if hasattr(parser, "instantiate") else parser.instantiate_classes(parsed)
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        raise fault(spec, f"{spec.class_path}: {error}") from None
    return {name: made[name] for name in arguments if name in made}


def _refuse_imports(spec: Spec, found: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Refuse arguments from a file by which jsonargparse would import what the trust rules do not allow.

    A nested ``class_path`` must itself pass them. Beside that, jsonargparse imports what a string names where a class
    or a callable is annotated, so that strings may only go where plain values are.
    """
    (parameters, _), hints = _parameters(found), _hints(found)
    for name, value in arguments.items():
        declared = parameters[name].annotation if name in parameters else object
        if isinstance(declared, str):
            declared = hints.get(name, object)
        _refuse_import(spec, name, value, _is_plain(declared))


def _hints(found: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(_constructors(found)[0] if isinstance(found, type) else found)
    except (NameError, TypeError, AttributeError):
        return {}


def _refuse_import(spec: Spec, name: str, value: object, plain: bool) -> None:
    if isinstance(value, Mapping):
        if "class_path" in value:
            _refuse_nested(spec, name, value)
            return
        for key, part in value.items():
            if not isinstance(key, str) or "class_path" in key or "init_args" in key:
                raise _untrusted(spec, name, value)
            _refuse_import(spec, f"{name}.{key}", part, plain)
    elif isinstance(value, list | tuple | set):
        for part in value:
            _refuse_import(spec, name, part, plain)
    elif isinstance(value, str) and (not plain or "class_path" in value):
        raise _untrusted(spec, name, value)


def _refuse_nested(spec: Spec, name: str, value: Mapping[Any, Any]) -> None:
    nested, arguments = value["class_path"], value.get("init_args") or {}
    if not (isinstance(nested, str) and isinstance(arguments, Mapping) and set(value) <= {"class_path", "init_args"}):
        raise _untrusted(spec, name, value)
    inner = Spec(nested, arguments, named_by=f"{spec.named_by} (argument {name})")
    _refuse_imports(inner, locate(inner, trust=False), arguments)


def _untrusted(spec: Spec, name: str, value: object) -> TrustError:
    return TrustError(
        f"{spec.named_by}: argument {name!r} of {spec.class_path} could import code through {value!r:.80}; "
        f"if you trust the file, add --trust"
    )


def _is_plain(annotation: Any) -> bool:
    """Whether a string under this annotation stays a string or becomes a number, a path or a container of those."""
    if annotation in (Any, inspect.Parameter.empty, None, Ellipsis):
        return True
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return True
    if origin is typing.Annotated:
        return _is_plain(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return all(map(_is_plain, arguments))
    kind = origin or annotation
    if not isinstance(kind, type):
        return False
    if dataclasses.is_dataclass(kind):
        hints = _hints(kind)
        return all(_is_plain(hints.get(field.name, object)) for field in dataclasses.fields(kind))
    sequence = kind.__module__ == "collections.abc" and kind.__name__ in (
        "Sequence",
        "Mapping",
        "Iterable",
        "Collection",
    )
    return (issubclass(kind, _PLAIN) or sequence) and all(map(_is_plain, arguments))
