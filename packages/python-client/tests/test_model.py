"""Models of torch, Keras, scikit-learn and any other object, by run[path].upload."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import pytest

import fieldbook
from fieldbook import journal
from support import Home, run_script


class Averaging:
    """A model of nobody's library."""

    def __init__(self) -> None:
        self.mean_ = 0.0

    def fit(self, values: list[float]) -> Averaging:
        self.mean_ = sum(values) / len(values)
        return self

    def predict(self) -> float:
        return self.mean_


def uploaded(home: Home, model: Any, **arguments: Any) -> tuple[dict[str, Any], Path]:
    with fieldbook.init("p", capture=False) as run:
        run["model"].upload(model, **arguments)
    (found,) = [found for found in home.journals() if found.records[0].data["run"] == run.id]
    (record,) = found.of(journal.FILE)
    return record, home.path / "journals/p" / run.id / f"{found.writer}.files" / record["spool"]


def test_any_object_that_learns_is_a_model(home: Home) -> None:
    """[CLT-14]"""
    record, place = uploaded(home, Averaging().fit([1.0, 3.0]), meta={"note": "toy"})
    assert (record["kind"], record["name"]) == ("model", "model.pkl")
    assert record["meta"] == {
        "framework": "test_model",
        "version": None,
        "class": "test_model.Averaging",
        "format": f"pickle {pickle.DEFAULT_PROTOCOL}",
        "note": "toy",
    }
    assert pickle.loads(place.read_bytes()).predict() == 2.0
    assert record["size"] == place.stat().st_size


def test_other_objects_are_files(home: Home) -> None:
    record, place = uploaded(home, {"classes": ["cat", "dog"]})
    assert (record["kind"], record["name"], record["meta"]["class"]) == ("file", "object.pkl", "dict")
    assert pickle.loads(place.read_bytes()) == {"classes": ["cat", "dog"]}
    record, _ = uploaded(home, ["a"], kind="model", name="labels.pkl")
    assert (record["kind"], record["name"]) == ("model", "labels.pkl")


def test_scikit_learn(home: Home) -> None:
    """[CLT-14]"""
    sklearn = pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]], [0, 1, 1])
    record, place = uploaded(home, model)
    assert (record["kind"], record["name"]) == ("model", "model.pkl")
    about = record["meta"]
    assert (about["framework"], about["version"]) == ("scikit-learn", sklearn.__version__)
    assert about["class"] == "sklearn.linear_model._logistic.LogisticRegression"
    assert about["parameters"] == model.coef_.size + model.intercept_.size
    assert (pickle.loads(place.read_bytes()).coef_ == model.coef_).all()


def test_torch_modules_state_dicts_and_checkpoints(home: Home) -> None:
    """[CLT-14]"""
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    state = module.state_dict()
    checkpoint = {"epoch": 3, "state_dict": state, "optimizer": optimizer.state_dict()}
    for given, kind, parameters, safe in (
        (module, "torch.nn.modules.container.Sequential", 21, False),
        (state, "collections.OrderedDict", 21, True),
        (checkpoint, "dict", 21, True),
        (optimizer, "torch.optim.sgd.SGD", None, False),
        (torch.zeros(3), "torch.Tensor", None, True),
    ):
        module.train()
        record, place = uploaded(home, given)
        assert (record["kind"], record["name"]) == ("model", "model.pt")
        about = record["meta"]
        assert (about["framework"], about["version"], about["class"]) == ("torch", torch.__version__, kind)
        assert about.get("parameters") == parameters
        assert module.training
        back = torch.load(place, weights_only=safe)
        if given is state:
            assert all(torch.equal(back[name], tensor) for name, tensor in state.items())
        if given is module:
            assert torch.equal(back(torch.ones(1, 3)), module(torch.ones(1, 3)))
        if given is checkpoint:
            assert back["epoch"] == 3


def test_what_torch_compiled(home: Home) -> None:
    """[CLT-14] torch.save refuses what torch.jit made, and torch.save's own refusals are no RuntimeErrors in a training."""
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(2, 1)
    traced = torch.jit.trace(module, torch.ones(1, 2))
    for given in (torch.jit.script(module), traced):
        record, place = uploaded(home, given)
        assert (record["kind"], record["meta"]["format"], record["meta"]["parameters"]) == (
            "model",
            "torch.jit.save",
            3,
        )
        assert torch.equal(torch.jit.load(place)(torch.ones(1, 2)), module(torch.ones(1, 2)))
    with fieldbook.init("p", capture=False) as run, pytest.raises(TypeError, match="state_dict"):
        run["model"].upload({"weight": torch.zeros(1), "net": traced})


def test_what_torch_cannot_save_is_told(home: Home) -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(1, 1)
    module.hook = lambda: 0
    with fieldbook.init("p", capture=False) as run, pytest.raises(TypeError, match="state_dict"):
        run["model"].upload(module)
    run = fieldbook.init("p", capture=False)
    out = io.BytesIO()
    torch.save(module.state_dict(), out)
    run["model"].upload(out.getvalue(), name="model.pt", kind="model")
    run.finish()


def test_a_full_disk_under_torch_does_not_raise(home: Home) -> None:
    """[CLT-2]"""
    pytest.importorskip("torch")
    script = """
import resource, signal, torch, fieldbook
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
run = fieldbook.init("p", capture=False)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
run["model"].upload({"w": torch.zeros(1_000_000)})
run.log({"loss": 1})
run.finish()
"""
    code, _, err = run_script(script, home)
    assert code == 0, err
    (record,) = home.only().of(journal.FILE)
    assert record["lost"] == "EFBIG"
    assert record["meta"]["framework"] == "torch"
    assert home.only().values("loss") == [1]


def test_keras_saves_itself(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """[CLT-14]"""
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(3)])
    record, place = uploaded(home, model)
    assert (record["kind"], record["name"]) == ("model", "model.keras")
    assert record["meta"]["framework"] == "keras"
    assert record["meta"]["parameters"] == 9
    beside = place.with_suffix(".keras")
    beside.write_bytes(place.read_bytes())
    assert keras.saving.load_model(beside).count_params() == 9
