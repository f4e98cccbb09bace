"""Joules from counters, of which some begin again and some cannot be read."""

from pathlib import Path

import pytest

from tts.costs.energy import EnergyMeter


def package(powercap: Path, name: str, microjoules: int) -> Path:
    folder = powercap / name
    folder.mkdir(exist_ok=True)
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text("10000000\n")
    return folder


def test_packages_are_summed_and_their_parts_are_not_counted_twice(tmp_path: Path) -> None:
    package(tmp_path, "intel-rapl:0", 1_000_000)
    package(tmp_path, "intel-rapl:0:0", 500_000)  # the cores of the first
    package(tmp_path, "intel-rapl:1", 9_000_000)
    meter = EnergyMeter(tmp_path, gpus=False)
    package(tmp_path, "intel-rapl:0", 3_000_000)  # 2 J
    package(tmp_path, "intel-rapl:0:0", 2_500_000)
    package(tmp_path, "intel-rapl:1", 500_000)  # from 9 J over the end at 10 J to 0.5 J: 1.5 J
    assert meter.joules() == pytest.approx(3.5)


def test_without_a_counter_nothing_is_known(tmp_path: Path) -> None:
    assert EnergyMeter(tmp_path, gpus=False).joules() is None
    (package(tmp_path, "intel-rapl:0", 1) / "energy_uj").write_text("")  # not readable as a number
    assert EnergyMeter(tmp_path, gpus=False).joules() is None


def test_a_counter_that_goes_away_leaves_the_whole_unknown(tmp_path: Path) -> None:
    folder = package(tmp_path, "intel-rapl:0", 1)
    meter = EnergyMeter(tmp_path, gpus=False)
    (folder / "energy_uj").unlink()
    assert meter.joules() is None
