"""What a driver says, through the real ctypes path: every answer it can give, and every way to give none."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from helpers import fake_nvml
from helpers.facts_in_child import collect_under
from launcher.probes.model import Gpu, GpuProcess, MigDevice, PlatformKind
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20


def gpus_of(scenario: str, folder: Path) -> tuple[Gpu, ...]:
    """The GPUs of a scenario in which they can be listed."""
    gpus = collect_under(scenario, folder).facts.gpu.gpus
    assert isinstance(gpus, Known), gpus
    return gpus.value


@pytest.mark.parametrize(
    ("scenario", "classes"),
    [
        ("t4", ["T4"]),
        ("l4", ["L4"]),
        ("a100-40", ["A100-40GB"]),
        ("a100-80", ["A100-80GB"]),
        ("h100", ["H100"]),
        ("g4", ["G4"]),
        ("p100", ["P100"]),
        ("two-t4", ["T4", "T4"]),
        ("t4-and-a100", ["T4", "A100-40GB"]),
        ("mig", ["A100-40GB"]),
    ],
)
def test_classes(tmp_path: Path, scenario: str, classes: list[str]) -> None:
    """Each GPU is listed in the driver's order, with its class."""
    gpus = gpus_of(scenario, tmp_path)
    assert [gpu.class_name for gpu in gpus] == [Known(name) for name in classes]
    assert [gpu.index for gpu in gpus] == list(range(len(classes)))


def test_every_field_of_a_healthy_gpu(tmp_path: Path) -> None:
    """Everything that the driver reports is known, in our units."""
    seen = collect_under("busy-t4", tmp_path).facts.gpu
    assert (seen.driver, seen.cuda) == (Known("580.82.07"), Known("12.8"))
    assert seen.gpus == Known(
        (
            Gpu(
                index=0,
                name=Known("Tesla T4"),
                class_name=Known("T4"),
                uuid=Known("GPU-00000000-0000-4000-8000-000000000001"),
                memory_total_bytes=Known(15360 * MIB),
                memory_free_bytes=Known(6360 * MIB),
                compute_capability=Known((7, 5)),
                mig=Known(False),
                mig_devices=Known(()),
                utilisation_percent=Known(87),
                power_w=Known(68.5),
                processes=Known(
                    (
                        GpuProcess(4242, Known(9000 * MIB)),
                        GpuProcess(4343, Unknown("not-available")),
                    )
                ),
            ),
        )
    )


@pytest.mark.parametrize(
    ("scenario", "reason"),
    [
        ("driver-mismatch", "driver-mismatch"),
        ("driver-not-loaded", "driver-not-loaded"),
        ("no-permission", "no-permission"),
        ("blocked-by-os", "blocked-by-os"),
    ],
)
def test_a_driver_that_does_not_start_is_unknown(tmp_path: Path, scenario: str, reason: str) -> None:
    """A library that refuses to start says why; that is not a machine without a GPU."""
    seen = collect_under(scenario, tmp_path).facts.gpu
    assert (seen.gpus, seen.driver, seen.cuda) == (Unknown(reason), Unknown(reason), Unknown(reason))


def test_a_driver_that_hangs_costs_two_seconds(tmp_path: Path) -> None:
    """A call that never returns is ended after two seconds; nothing of it is left, the rest is known."""
    seen = collect_under("hang", tmp_path)
    assert seen.facts.gpu.gpus == Unknown("timeout")
    assert seen.facts.gpu.driver == Unknown("timeout")
    assert 1.9 < seen.seconds < 4
    assert seen.children_left == 0
    assert isinstance(seen.facts.host.ram_total_bytes, Known)


def test_no_gpu_in_the_machine(tmp_path: Path) -> None:
    """A driver that counts none is known to have none."""
    seen = collect_under("none", tmp_path).facts.gpu
    assert seen.gpus == Known(())
    assert seen.driver == Known("580.82.07")


def test_neither_library_nor_device(tmp_path: Path) -> None:
    """A machine without NVIDIA's software and devices is known to have no GPU."""
    seen = collect_under(None, tmp_path, root=str(tmp_path)).facts.gpu
    if seen.driver != Unknown("no-nvml-library"):
        pytest.skip("this machine has a driver of its own")
    assert seen.gpus == Known(())


@pytest.mark.parametrize("marker", ["dev/kfd", "sys/module/amdgpu"])
def test_an_amd_gpu_is_not_no_gpu(tmp_path: Path, marker: str) -> None:
    """What cannot be judged is not known; a machine with such a GPU is never told that it has none."""
    (tmp_path / marker).parent.mkdir(parents=True)
    (tmp_path / marker).touch()
    seen = collect_under(None, tmp_path, root=str(tmp_path)).facts.gpu
    if seen.driver != Unknown("no-nvml-library"):
        pytest.skip("this machine has a driver of its own")
    assert seen.gpus == Unknown("amd-not-supported")


@pytest.mark.parametrize("device", ["nvidia0", "nvidiactl"])
def test_a_device_without_a_library_is_unknown(tmp_path: Path, device: str) -> None:
    """Where the device is, there is a GPU; without the library nobody can say which."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / device).touch()
    seen = collect_under(None, tmp_path, root=str(tmp_path)).facts.gpu
    if seen.driver != Unknown("no-nvml-library"):
        pytest.skip("this machine has a driver of its own")
    assert seen.gpus == Unknown("no-nvml-library")


def test_a_scrubbed_environment_still_finds_the_driver(tmp_path: Path) -> None:
    """Without LD_LIBRARY_PATH (ssh, env -i) the library is found where Colab keeps it."""
    env = fake_nvml.environment("t4", tmp_path / "usr" / "lib64-nvidia")
    environ = {"FAKE_NVML_FILE": env["FAKE_NVML_FILE"]}
    seen = collect_under(None, tmp_path, root=str(tmp_path), environ=environ).facts.gpu
    assert isinstance(seen.gpus, Known)
    assert [gpu.name for gpu in seen.gpus.value] == [Known("Tesla T4")]


def test_a_file_that_is_not_a_library(tmp_path: Path) -> None:
    """A broken library counts as none; it does not bring the probe down."""
    folder = tmp_path / "usr" / "lib64-nvidia"
    folder.mkdir(parents=True)
    (folder / "libnvidia-ml.so.1").write_text("not an ELF file")
    seen = collect_under(None, tmp_path, root=str(tmp_path)).facts.gpu
    assert seen.gpus == Known(()) or isinstance(seen.driver, Known)


def test_a_crash_of_the_library_is_unknown(tmp_path: Path) -> None:
    """A library that takes its process down takes only the helper's."""
    environ = fake_nvml.environment("t4", tmp_path)
    fake_nvml.scenario_file(tmp_path).write_text("a scenario that makes the library abort")
    assert collect_under(None, tmp_path, environ=environ).facts.gpu.gpus == Unknown("crashed")


def test_a_lost_gpu_keeps_its_place(tmp_path: Path) -> None:
    """A GPU that fell off the bus is unknown in every field; its neighbour is read as ever."""
    healthy, lost = gpus_of("t4-and-lost", tmp_path)
    assert healthy.class_name == Known("T4")
    fields = {field.name: getattr(lost, field.name) for field in dataclasses.fields(lost)}
    assert fields.pop("index") == 1
    assert set(fields.values()) == {Unknown("gpu-lost")}


def test_what_a_gpu_does_not_support_is_unknown_field_by_field(tmp_path: Path) -> None:
    """`Not Supported` on one question leaves the answers to the others."""
    (gpu,) = gpus_of("not-supported", tmp_path)
    assert gpu.class_name == Known("T4")
    assert gpu.memory_total_bytes == Known(15360 * MIB)
    assert gpu.mig == Known(False)
    for reading in (gpu.power_w, gpu.utilisation_percent, gpu.processes, gpu.compute_capability):
        assert reading == Unknown("not-supported")


def test_no_name_is_no_class(tmp_path: Path) -> None:
    """Without a name the class is unknown for the same reason, and the memory is still known."""
    (gpu,) = gpus_of("no-name", tmp_path)
    assert gpu.class_name == gpu.name == Unknown("driver-error")
    assert gpu.memory_total_bytes == Known(15360 * MIB)


def test_a_gpu_that_nobody_listed(tmp_path: Path) -> None:
    """A new product has a name and memory, and an unknown class."""
    (gpu,) = gpus_of("unlisted", tmp_path)
    assert gpu.name == Known("NVIDIA Future GPU X1")
    assert gpu.class_name == Unknown("unlisted-gpu")
    assert gpu.memory_total_bytes == Known(65536 * MIB)


def test_an_old_driver(tmp_path: Path) -> None:
    """A driver that lacks newer calls: those facts are unknown, MIG is known to be off, the rest is read."""
    seen = collect_under("old-driver", tmp_path).facts.gpu
    assert (seen.driver, seen.cuda) == (Known("410.104"), Unknown("function-missing"))
    assert isinstance(seen.gpus, Known)
    (gpu,) = seen.gpus.value
    assert gpu.class_name == Known("T4")
    assert (gpu.mig, gpu.mig_devices) == (Known(False), Known(()))
    assert gpu.processes == Known(())


def test_mig_mode_lists_the_slices(tmp_path: Path) -> None:
    """In MIG mode the memory of each slice is known, beside that of the whole GPU."""
    (gpu,) = gpus_of("mig", tmp_path)
    assert gpu.mig == Known(True)
    assert gpu.mig_devices == Known((MigDevice(Known(19968 * MIB)), MigDevice(Known(19968 * MIB))))
    assert gpu.memory_total_bytes == Known(40960 * MIB)
    assert gpu.utilisation_percent == Unknown("not-supported")


def test_all_facts_together(tmp_path: Path) -> None:
    """One call collects GPU, host and platform."""
    seen = collect_under("t4", tmp_path, environ={"TBE_RUNTIME_ADDR": "127.0.0.1:1"})
    assert seen.facts.platform.kind is PlatformKind.COLAB
    assert seen.facts.host.disk_path == "/"
    assert isinstance(seen.facts.host.cpus, Known)
    assert seen.children_left == 0


def test_every_scenario_is_played(tmp_path: Path) -> None:
    """The fake library knows every scenario that its helper offers, and the helper refuses others."""
    for scenario in set(fake_nvml.SCENARIOS) - {"hang"}:
        assert collect_under(scenario, tmp_path).facts.gpu.gpus != Unknown("crashed"), scenario
    with pytest.raises(ValueError, match="no scenario"):
        fake_nvml.environment("t5", tmp_path)
