"""The doctor says what works, and what to do about what does not."""

import sys
from pathlib import Path

import pytest

from eventhpe import doctor
from eventhpe.doctor import Check, checks, format_checks


@pytest.fixture(scope="module")
def results() -> dict[str, Check]:
    return {check.name: check for check in checks()}


def test_every_part_is_looked_at_and_whatever_fails_has_a_remedy(results) -> None:
    assert len(results) == 12
    assert all(check.found for check in results.values())
    assert all(check.remedy for check in results.values() if not check.ok)


@pytest.mark.parametrize("name", ["Python", "torch", "Numba", "HDF5 with Blosc"])
def test_what_the_tests_themselves_need_is_there(results, name: str) -> None:
    assert results[name].ok, results[name]


def test_a_package_that_shadows_ours_is_named(tmp_path: Path, monkeypatch) -> None:
    assert doctor._shadows().ok or doctor._installed("datasets")
    stranger = tmp_path / "flownet"
    stranger.mkdir()
    (stranger / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    check = doctor._shadows()
    assert not check.ok
    assert str(stranger) in check.found
    assert "virtual environment" in check.remedy


def test_hugging_face_datasets_is_reported_even_at_the_same_place(monkeypatch) -> None:
    monkeypatch.setattr(doctor, "_installed", lambda name: name == "datasets")
    check = doctor._shadows()
    assert not check.ok
    assert "Hugging Face" in check.found


def test_a_missing_optional_package_is_a_note_with_its_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "faery", None)
    check = doctor._faery()
    assert (check.ok, check.optional) == (False, True)
    assert "eventhpe[io]" in check.remedy


def test_without_opengl_the_debian_packages_are_named(monkeypatch) -> None:
    from eventhpe.rendering import opengl

    route = opengl.Route(None, "egl: libEGL.so.1 is missing")
    monkeypatch.setattr(opengl, "find_route", lambda: route)
    check = doctor._opengl()
    assert (check.ok, check.optional) == (False, True)
    assert "libEGL.so.1" in check.found
    assert "libegl1 libgl1-mesa-dri" in check.remedy


def test_a_card_without_its_tensors_is_reported(tmp_path: Path) -> None:
    assert not doctor._weights(tmp_path).ok
    for name in ("flownet-small", "shapenet-small"):
        (tmp_path / f"{name}.json").write_text("{}")
        assert name in doctor._weights(tmp_path).found
        (tmp_path / f"{name}.safetensors").touch()
    assert doctor._weights(tmp_path) == Check("weights", True, "flownet, shapenet")


def test_a_check_that_breaks_is_reported_not_raised() -> None:
    def broken() -> Check:
        raise OSError("library lost")

    check = doctor._guarded("thing", broken)
    assert (check.ok, check.name, check.found) == (False, "thing", "OSError: library lost")


def test_the_report_has_a_line_a_check_and_remedies_below() -> None:
    text = format_checks(
        [
            Check("a", True, "fine"),
            Check("bb", False, "lost", "find it"),
            Check("c", False, "slow", optional=True),
        ]
    )
    assert text.splitlines() == [
        "ok    a   fine",
        "FAIL  bb  lost",
        "          -> find it",
        "note  c   slow",
    ]
    assert format_checks([]) == ""
