"""Lists of arrays as joblib writes them: known bytes of two versions, and refusals."""

import base64
import pickle
import zlib

import numpy as np
import pytest

from eventhpe.body.joblib_arrays import read_joblib
from eventhpe.body.pickles import RefusedPickle

# joblib.dump([float32 0..5 (2, 3), int16 0..5 (2, 3) in Fortran's order, float64 [[0.5]]]).
KNOWN = {
    "joblib 1.6.0": (
        "gASV1gAAAAAAAABdlCiME2pvYmxpYi5udW1weV9waWNrbGWUjBFOdW1weUFycmF5V3JhcHBlcpSTlCmBlH2UKIwI"
        "c3ViY2xhc3OUjAVudW1weZSMB25kYXJyYXmUk5SMBXNoYXBllEsCSwOGlIwFb3JkZXKUjAFDlIwFZHR5cGWUaAeM"
        "BWR0eXBllJOUjAJmNJSJiIeUUpQoSwOMATyUTk5OSv////9K/////0sAdJRijAphbGxvd19tbWFwlIiMG251bXB5"
        "X2FycmF5X2FsaWdubWVudF9ieXRlc5RLEHViDv//////////////////AAAAAAAAgD8AAABAAABAQAAAgEAAAKBA"
        "lUkAAAAAAAAAaAMpgZR9lChoBmgJaApLAksDhpRoDIwBRpRoDmgQjAJpMpSJiIeUUpQoSwNoFE5OTkr/////Sv//"
        "//9LAHSUYmgWiGgXSxB1YgX//////wAAAwABAAQAAgAFAJVHAAAAAAAAAGgDKYGUfZQoaAZoCWgKSwFLAYaUaAxo"
        "DWgOaBCMAmY4lImIh5RSlChLA2gUTk5OSv////9K/////0sAdJRiaBaIaBdLEHViA////wAAAAAAAOA/ZS4="
    ),
    "joblib 1.6.0, compressed": (
        "eF6NUD1PwzAQdZKGQgVVEQgG/kBZOiAGBqQWIYEgUgYWJhTZjcsF8mElqVCGSmGBIHnjsvOrmPkn4MSgDjDw5Dvd"
        "yff83rns1O9E4waHcusuYWHARvE8EoUngul9yFFuuk17kqa0uE6pEDzFV9x/xIVirGZzNg1plqG0WxbKbuzTZlYN"
        "STsDKjg6pmM9qS5JfUWWxqmq/bxQN9D9qdS0OTvEl+oZr3DoWNI4Rtd1Lz8V2uSQHJns0TBMHrwoogIruaedtnoe"
        "DYPbOOJx7rEi5xk6gznrN8wl9KrlWKWJOipKFW+T+uL7F8DSi8EKrEFP+4Z1aZwh9GEgzeBg6RC2f/uDnQp2G2G7"
        "FSXEIgbpEJPYpD7/W8NwjEYDNrTC7OifClb7foOPMR99AbGlsFQ="
    ),
    "joblib 0.17.0": (
        "gASVtgAAAAAAAABdlCiME2pvYmxpYi5udW1weV9waWNrbGWUjBFOdW1weUFycmF5V3JhcHBlcpSTlCmBlH2UKIwI"
        "c3ViY2xhc3OUjAVudW1weZSMB25kYXJyYXmUk5SMBXNoYXBllEsCSwOGlIwFb3JkZXKUjAFDlIwFZHR5cGWUaAeM"
        "BWR0eXBllJOUjAJmNJSJiIeUUpQoSwOMATyUTk5OSv////9K/////0sAdJRijAphbGxvd19tbWFwlIh1YgAAAAAA"
        "AIA/AAAAQAAAQEAAAIBAAACgQJVFAAAAAAAAAGgDKYGUfZQoaAZoCWgKSwJLA4aUaAyMAUaUaA5oEIwCaTKUiYiH"
        "lFKUKEsDaBROTk5K/////0r/////SwB0lGJoFoh1YgAAAwABAAQAAgAFAJVDAAAAAAAAAGgDKYGUfZQoaAZoCWgK"
        "SwFLAYaUaAxoDWgOaBCMAmY4lImIh5RSlChLA2gUTk5OSv////9K/////0sAdJRiaBaIdWIAAAAAAADgP2Uu"
    ),
    "joblib 0.17.0, compressed": (
        "eF5rYJm6jQECYqdo9Ahn5SflZCbp5ZXmFlTGF2QmZ+ekTukR9ANxHYuKEivDixILClKLpkyeotk4pRaog6O4NCk5"
        "J7G4eEoPK1jXlB72vJREkFqgoh7W4ozEgtQp3kzezG1AXn5RClBzD6MzkJ1SUgmUyWCHsYCqmdJMpnR2tE8JmqLh"
        "zdzDaDPFz8/P6z8QgAlvhpIpST1ciTk5+eXxubmJBVM6SpMgbm+wBxIOQATEDUC8wGGqK9RbGcwQl2awZXBmcEEc"
        "ksHTw+g2JYMvQ6CHKdMIYWWGCKaFGWJgW5gZGBlYGJgYWBmmOmM3mdGbEWRyBi/E3DQLoswFmfXAPlUPAK2ei4c="
    ),
}


def plain(name: str) -> bytes:
    return base64.b64decode(KNOWN[name])


@pytest.mark.parametrize("name", KNOWN)
def test_known_files_are_read(name: str) -> None:
    first, second, third = read_joblib(plain(name))
    rows = [[0, 1, 2], [3, 4, 5]]
    for found, expected, dtype in (
        (first, rows, np.float32),
        (second, rows, np.int16),
        (third, [[0.5]], np.float64),
    ):
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)


def test_plain_pickles_of_lists_are_read() -> None:
    (found,) = read_joblib(pickle.dumps([np.eye(3)], protocol=4))
    np.testing.assert_array_equal(found, np.eye(3))


class Runs:
    """Runs a command when a careless reader unpickles it."""

    def __reduce__(self):
        return exec, ("raise SystemExit('it ran')",)


def test_what_would_run_is_refused() -> None:
    with pytest.raises(RefusedPickle, match="exec"):
        read_joblib(pickle.dumps([np.eye(2), Runs()]))
    with pytest.raises(RefusedPickle, match="exec"):
        read_joblib(zlib.compress(pickle.dumps([Runs()])))


def test_arrays_of_objects_are_refused() -> None:
    """Also where the type's saved state, as here, says that it holds none: their bytes would be
    taken for pointers."""
    spoilt = plain("joblib 0.17.0").replace(b"\x8c\x02f4\x94", b"\x8c\x02O8\x94")
    with pytest.raises(RefusedPickle, match="not of numbers"):
        read_joblib(spoilt)
    with pytest.raises(RefusedPickle, match="not of numbers"):
        read_joblib(pickle.dumps([np.array([None])]))


def test_a_type_that_claims_to_hold_pointers_holds_numbers() -> None:
    """The last entry of a type's saved state is its flags; 1 says that numpy counts references."""
    flags = b"K\x00t\x94b"
    content = plain("joblib 0.17.0")
    assert content.count(flags) == 3
    first, *_ = read_joblib(content.replace(flags, b"K\x01t\x94b"))
    assert first.dtype.flags == np.dtype(np.float32).flags
    np.testing.assert_array_equal(first, [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize("name", KNOWN)
def test_cut_files_are_refused(name: str) -> None:
    for length in (40, len(plain(name)) - 8):
        with pytest.raises(Exception):  # noqa: B017, PT011
            read_joblib(plain(name)[:length])


@pytest.mark.parametrize("content", [{"a": 1}, ["text"], "text"])
def test_other_things_than_lists_of_numbers_are_refused(content: object) -> None:
    with pytest.raises(ValueError, match="it holds"):
        read_joblib(pickle.dumps(content))


def test_a_small_file_that_claims_to_be_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventhpe.body.joblib_arrays.MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="1,000 bytes"):
        read_joblib(zlib.compress(pickle.dumps([np.zeros(1000)])))
