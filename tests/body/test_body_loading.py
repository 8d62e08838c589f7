"""Loading bodies: what is read, and what is refused before anything of it runs."""

import hashlib
import io
import os
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch

from eventhpe.body import Body, load_body
from eventhpe.body.loading import DEFAULT_ID, DEFAULT_PATH
from eventhpe.errors import InputError


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(DEFAULT_PATH) as data:
        return {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in data.items()}


@pytest.fixture
def chumpy_class(monkeypatch: pytest.MonkeyPatch) -> type:
    """A stand-in for chumpy.ch.Ch, importable while the test writes its pickle."""

    class Ch:
        def __init__(self, x: np.ndarray) -> None:
            self.x = x

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    package, module = types.ModuleType("chumpy"), types.ModuleType("chumpy.ch")
    module.Ch = Ch  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "chumpy", package)
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)
    return Ch


def write_pickle(path: Path, content: object, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def assert_same_body(body: Body, other: Body) -> None:
    generator = torch.Generator().manual_seed(0)
    betas = torch.randn(1, 10, generator=generator)
    turns = torch.linalg.qr(torch.randn(1, 24, 3, 3, generator=generator))[0]
    turns = turns * torch.linalg.det(turns)[..., None, None]
    parameters = (betas, turns[:, 0], turns[:, 1:], torch.ones(1, 3))
    torch.testing.assert_close(
        body(*parameters).vertices, other(*parameters).vertices, atol=1e-5, rtol=0
    )


def test_default_body_names_itself(body: Body) -> None:
    assert body.body_id == DEFAULT_ID
    assert body.sha256 == hashlib.sha256(DEFAULT_PATH.read_bytes()).hexdigest()


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_plain_pickle(
    tmp_path: Path, arrays: dict[str, np.ndarray], body: Body, protocol: int
) -> None:
    path = write_pickle(tmp_path / "SMPL_FEMALE.pkl", arrays, protocol)
    read = load_body(path)
    assert read.body_id == "smpl-female"
    assert_same_body(read, body)


def test_licensed_form_with_chumpy_sparse_regressor_and_300_betas(
    tmp_path: Path, arrays: dict[str, np.ndarray], body: Body, chumpy_class: type
) -> None:
    content: dict[str, object] = dict(arrays)
    more = np.ones((len(arrays["v_template"]), 3, 290))
    content["shapedirs"] = chumpy_class(np.concatenate([arrays["shapedirs"], more], 2))
    content["v_template"] = chumpy_class(arrays["v_template"])
    content["J_regressor"] = scipy.sparse.csc_matrix(arrays["J_regressor"])
    tree = arrays["kintree_table"].astype(np.uint32)
    assert tree[0, 0] == 2**32 - 1
    content |= {"kintree_table": tree, "bs_style": "lbs", "unused": {"set": {1}}}
    path = write_pickle(tmp_path / "basicmodel_m_lbs_10_207_0_v1.1.0.pkl", content)
    # Python 2 and old scipy wrote other module names.
    old = path.read_bytes().replace(b"copyreg", b"copy_reg")
    path.write_bytes(old.replace(b"scipy.sparse._csc", b"scipy.sparse.csc"))
    sys.modules.pop("chumpy.ch")
    read = load_body(path)
    assert read.body_id == "smpl-male"
    assert_same_body(read, body)


@pytest.mark.parametrize("kind", ["csr_matrix", "coo_matrix"])
def test_other_sparse_regressors(
    tmp_path: Path, arrays: dict[str, np.ndarray], body: Body, kind: str
) -> None:
    sparse = getattr(scipy.sparse, kind)(arrays["J_regressor"])
    path = write_pickle(tmp_path / "my body.pkl", {**arrays, "J_regressor": sparse})
    assert_same_body(load_body(path), body)


def test_npz(tmp_path: Path, arrays: dict[str, np.ndarray], body: Body) -> None:
    path = tmp_path / "My_Body-2.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    read = load_body(path)
    assert read.body_id == "my-body-2"
    assert_same_body(read, body)


class Attack:
    """Runs a command when a careless reader unpickles it."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize(
    "attack",
    [
        lambda mark: Attack(os.system, f"touch {mark}"),
        lambda mark: Attack(eval, f"open({str(mark)!r}, 'w')"),
        lambda mark: Attack(open, str(mark), "w"),
        lambda mark: Attack(np.save, str(mark), np.zeros(1)),
        lambda mark: np.array([Attack(os.mkdir, str(mark))], dtype=object),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_malicious_pickle_is_refused_and_not_run(
    tmp_path: Path, attack: object, protocol: int
) -> None:
    mark = tmp_path / "ran"
    path = write_pickle(tmp_path / "SMPL_NEUTRAL.pkl", {"v_template": attack(mark)}, protocol)  # type: ignore[operator]
    with pytest.raises(InputError, match="asks for"):
        load_body(path)
    assert not mark.exists()
    assert not (tmp_path / "ran.npy").exists()


def test_bytes_are_never_taken_for_pointers(tmp_path: Path) -> None:
    """A type's code changed from floats to objects, its saved state left as it was."""
    path = write_pickle(tmp_path / "body.pkl", {"v_template": np.ones((2, 3))})
    content = path.read_bytes()
    assert content.count(b"f8") == 1
    path.write_bytes(content.replace(b"f8", b"O8"))
    with pytest.raises(InputError, match="not of numbers"):
        load_body(path)


def test_reconstructor_builds_nothing_else(tmp_path: Path) -> None:
    """The one indirect constructor in the list cannot be turned on other types."""
    import copyreg

    path = tmp_path / "body.pkl"
    attack = Attack(copyreg._reconstructor, set, object, None)  # type: ignore[attr-defined]
    write_pickle(path, {"v_template": attack})
    with pytest.raises(InputError, match="another kind"):
        load_body(path)


def test_object_arrays_in_npz_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    path = tmp_path / "body.npz"
    np.savez(path, **{**arrays, "f": np.array([{"a": 1}], dtype=object)})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="broken"):
        load_body(path)


@pytest.mark.parametrize("ending", [".pkl", ".npz"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_truncated_files(
    tmp_path: Path, arrays: dict[str, np.ndarray], ending: str, share: float
) -> None:
    buffer = io.BytesIO()
    if ending == ".npz":
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
    else:
        pickle.dump(arrays, buffer, protocol=2)
    content = buffer.getvalue()
    path = tmp_path / f"body{ending}"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="broken or truncated"):
        load_body(path)


def broken(arrays: dict[str, np.ndarray], change: str) -> dict[str, np.ndarray]:
    arrays = {k: v.copy() for k, v in arrays.items()}
    if change == "missing":
        del arrays["posedirs"]
    elif change == "joints":
        arrays["kintree_table"] = np.zeros((2, 52), np.int64)
    elif change == "tree":
        arrays["kintree_table"][0, 5] = 1
    elif change == "faces":
        arrays["f"][3, 1] = len(arrays["v_template"])
    elif change == "betas":
        arrays["shapedirs"] = arrays["shapedirs"][..., :8]
    elif change == "vertices":
        arrays["weights"] = arrays["weights"][:-1]
    elif change == "nan":
        arrays["v_template"][7, 0] = np.nan
    elif change == "sum":
        arrays["weights"] *= 0.5
    elif change == "text":
        arrays["f"] = np.array("faces")
    return arrays


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("missing", "no posedirs"), ("joints", r"\(2, 52\)"), ("tree", "joint tree"),
        ("faces", "absent vertices"), ("betas", "shapedirs"), ("vertices", "weights"),
        ("nan", "not finite"), ("sum", "sum to 1"), ("text", "f of type"),
    ],
)  # fmt: skip
def test_other_models_are_named(
    tmp_path: Path, arrays: dict[str, np.ndarray], change: str, says: str
) -> None:
    path = tmp_path / "body.npz"
    np.savez(path, **broken(arrays, change))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=says):
        load_body(path)


def test_absent_file_and_foreign_ending(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_body(tmp_path / "SMPL_NEUTRAL.pkl")
    path = tmp_path / "body.obj"
    path.write_text("v 0 0 0")
    with pytest.raises(InputError, match=r"\.obj"):
        load_body(path)
    with pytest.raises(InputError):
        load_body(tmp_path)


def test_a_pickle_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="list"):
        load_body(write_pickle(tmp_path / "a.pkl", [1, 2]))
    with pytest.raises(InputError, match="no v_template"):
        load_body(write_pickle(tmp_path / "a.pkl", {"a": 1}))
    with pytest.raises(InputError, match="not an array"):
        load_body(write_pickle(tmp_path / "a.pkl", {"v_template": "x"}))
