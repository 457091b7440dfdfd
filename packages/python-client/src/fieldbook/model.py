"""Models and other objects as files: saved by their own library where there is one, else by pickle.

Nothing is imported for a library that the training has not imported itself. What is noted beside the file says how to
read it again: ``framework``, its ``version``, ``class``, ``format``, and where it can be counted ``parameters``.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Saved:
    """How an object becomes a file: ``write`` is given a path."""

    def __init__(self, write: Callable[[str], None], name: str, kind: str, meta: dict[str, Any]) -> None:
        self.write = write
        #: A file's name, when nobody gives one.
        self.name = name
        #: ``model``, or ``file`` for an object that is none.
        self.kind = kind
        self.meta = meta


#: Libraries whose objects with ``fit`` or ``predict`` are models, and what they call themselves.
_LIBRARIES = {
    "sklearn": "scikit-learn",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "statsmodels": "statsmodels",
    "imblearn": "imbalanced-learn",
}


def saved(value: Any) -> Saved:
    """How ``value`` is kept. Raises ``TypeError`` for what is hardly meant: None, a number, a truth value, a text."""
    if value is None or isinstance(value, (bool, int, float, complex, str)):
        raise TypeError(
            f"source must be a path, bytes, an open file, a figure, a model or an object, not {type(value).__name__}"
        )
    # Keras first: its models are torch modules too when torch computes for it.
    for kind in (_keras, _torch):
        found = kind(value)
        if found is not None:
            return found
    return _pickled(value)


def _class_of(value: Any) -> str:
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}".replace("builtins.", "")


def _version_of(module: str) -> str | None:
    found = getattr(sys.modules.get(module), "__version__", None)
    return str(found) if found is not None else None


def _torch(value: Any) -> Saved | None:
    """A module, an optimizer, or a dict with tensors somewhere in it (a state dict, a checkpoint)."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "save"):
        return None
    meta: dict[str, Any] = {
        "framework": "torch",
        "version": _version_of("torch"),
        "class": _class_of(value),
        "format": "torch.save",
    }
    module = getattr(getattr(torch, "nn", None), "Module", ())
    if isinstance(value, module):
        meta["parameters"] = sum(parameter.numel() for parameter in value.parameters())
        if _is_script(torch, value):
            meta["format"] = "torch.jit.save"
    elif _is_script(torch, value):
        meta["format"] = "torch.jit.save"
    elif isinstance(value, Mapping) and _has_tensor(torch, value):
        meta["parameters"] = _count(torch, value)
        if type(value).__name__ in ("dict", "OrderedDict") and all(
            isinstance(item, torch.Tensor) for item in value.values()
        ):
            meta["format"] = "torch.save of a state dict"
    elif not (isinstance(value, torch.Tensor) or hasattr(value, "state_dict")):
        return None
    return Saved(lambda path: _save_torch(torch, value, path), "model.pt", "model", meta)


def _is_script(torch: Any, value: Any) -> bool:
    """What torch.jit compiled, which torch.save refuses."""
    kinds = tuple(
        kind
        for kind in (getattr(getattr(torch, "jit", None), name, None) for name in ("ScriptModule", "ScriptFunction"))
        if kind
    )
    return isinstance(value, kinds)


def _save_torch(torch: Any, value: Any, path: str) -> None:
    # Into an open file: what torch.save makes of a path depends on its ending.
    with open(path, "wb") as file:
        watched = _Watched(file)
        try:
            if _is_script(torch, value):
                torch.jit.save(value, watched)
            else:
                torch.save(value, watched)
            file.flush()
        except Exception as error:
            if watched.error is not None:
                raise watched.error from error
            if isinstance(error, OSError):
                raise  # the disk, not the module
            raise TypeError(f"source cannot be saved by torch: {error}; hand in its state_dict()") from error


class _Watched:
    """A file that remembers why the disk refused: torch tells of it as of any failure."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return int(self._file.write(data))
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())


def _has_tensor(torch: Any, value: Any, depth: int = 0) -> bool:
    if isinstance(value, torch.Tensor):
        return True
    if depth > 4:
        return False
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return any(_has_tensor(torch, item, depth + 1) for item in list(items)[:1000])


def _count(torch: Any, value: Mapping[str, Any]) -> int | None:
    """Parameters of a state dict, or of the one that a checkpoint holds under a usual name."""
    for name in ("state_dict", "model_state_dict", "model"):
        inner = value.get(name)
        if isinstance(inner, Mapping) and _has_tensor(torch, inner):
            value = inner
            break
    tensors = [item for item in value.values() if isinstance(item, torch.Tensor)]
    return sum(tensor.numel() for tensor in tensors) if tensors else None


def _keras(value: Any) -> Saved | None:
    modules = {base.__module__.partition(".")[0] for base in type(value).__mro__}
    if not (modules & {"keras", "tf_keras", "tensorflow"} and callable(getattr(value, "save", None))):
        return None
    library = "keras" if "keras" in modules else "tf_keras" if "tf_keras" in modules else "tensorflow"
    meta: dict[str, Any] = {
        "framework": library,
        "version": _version_of(library),
        "class": _class_of(value),
        "format": "keras",
    }
    count = getattr(value, "count_params", None)
    if callable(count):
        try:
            meta["parameters"] = int(count())
        except (TypeError, ValueError):  # a model that has not been built
            pass
    return Saved(lambda path: _save_keras(value, path), "model.keras", "model", meta)


def _save_keras(value: Any, path: str) -> None:
    """Keras decides by the ending, so it writes beside the place and the file is moved there."""
    import os

    beside = f"{path}.keras"
    try:
        value.save(beside)
        os.replace(beside, path)
    except BaseException:
        try:
            os.unlink(beside)
        except OSError:
            pass
        raise


def _pickled(value: Any) -> Saved:
    top = type(value).__module__.partition(".")[0]
    library = _LIBRARIES.get(top)
    learns = hasattr(value, "fit") or hasattr(value, "predict")
    meta: dict[str, Any] = {"class": _class_of(value), "format": f"pickle {pickle.DEFAULT_PROTOCOL}"}
    if library is not None or learns:
        meta = {"framework": library or top, "version": _version_of(top), **meta}
    count = _learned(value) if library == "scikit-learn" else None
    if count is not None:
        meta["parameters"] = count
    return Saved(lambda path: _save_pickle(value, path), "model.pkl" if learns else "object.pkl", _kind(learns), meta)


def _kind(learns: bool) -> str:
    return "model" if learns else "file"


def _save_pickle(value: Any, path: str) -> None:
    with open(path, "wb") as file:
        try:
            pickle.dump(value, file)
        except OSError:
            raise  # the disk, not the object
        except Exception as error:
            raise TypeError(f"source cannot be kept: {type(value).__name__} cannot be pickled: {error}") from error


def _learned(value: Any) -> int | None:
    """Numbers in the arrays that scikit-learn's ``fit`` left behind (``coef_``, ``intercept_`` …)."""
    total = 0
    for name, item in vars(value).items() if hasattr(value, "__dict__") else ():
        if name.endswith("_") and not name.startswith("_"):
            for array in item if isinstance(item, list) else [item]:
                size = getattr(array, "size", None)
                if isinstance(size, int) and hasattr(array, "dtype") and getattr(array.dtype, "kind", "") == "f":
                    total += size
    return total or None
