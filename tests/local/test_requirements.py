"""What the local cluster needs is checked first, and everything missing is told at once."""

import re
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.local import binaries, configuration, requirements
from perene.local.layout import Layout
from perene.local.ranges import Ranges
from perene.local.services import services

RANGES = Ranges(IPv4Network("10.200.0.0/22"))


def test_all_missing_requirements_are_told_at_once_and_nothing_is_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(binaries, "go_version", lambda: (1, 19, 8))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(PereneError) as caught:
        requirements.check(Layout(tmp_path))
    assert [text for text in ("needs root", "found Go 1.19.8") if text not in str(caught.value)] == []
    assert caught.value.exit_code == ExitCode.CANNOT_TELL


@pytest.mark.parametrize(
    ("text", "version"),
    [('ID=debian\nVERSION_ID="12"\n', 12), ("ID=debian\nVERSION_ID=13\n", 13), ('ID=ubuntu\nVERSION_ID="24.04"\n', 0), ("ID=debian\n", 0)],
)
def test_debian_is_recognised_by_its_release_file(text: str, version: int) -> None:
    assert requirements.debian_version(text) == version


def test_missing_packages_are_those_whose_file_is_absent(tmp_path: Path) -> None:
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/runc").touch()
    assert set(requirements.PACKAGES) - set(requirements.missing_packages(tmp_path)) == {"runc"}


@pytest.mark.parametrize("name", sorted(binaries.PROGRAMS))
def test_each_module_names_its_programs_as_tools_and_is_pinned_by_a_sum(name: str) -> None:
    module = binaries.MODULES / name
    text = (module / "go.mod").read_text()
    # Pulumi's runner of a program is a script of its SDK.
    tools = [program for program in binaries.PROGRAMS[name] if program != "pulumi-language-python-exec"]
    assert all(re.search(rf"(?:^tool |^\t)\S*/{program}$", text, re.MULTILINE) for program in tools)
    main = {
        "kubernetes": "k8s.io/kubernetes",
        "coredns": "github.com/coredns/coredns",
        "pulumi": "github.com/pulumi/pulumi/pkg/v3",
        "pulumi-kubernetes": "github.com/pulumi/pulumi-kubernetes/provider/v4",
    }[name]
    version = re.search(rf"{re.escape(main)} (v\S+)", text)
    assert version, f"{main} is pinned"
    assert f"{main} {version[1]} h1:" in (module / "go.sum").read_text(), "go.sum is what is checked before root runs the result"
    assert not list(module.glob("*.go")), "no code of ours stands between the module and the program"


def test_the_cache_key_follows_module_files_and_compiler(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module x\n")
    (tmp_path / "go.sum").write_text("a\n")
    keys = {binaries.digest(tmp_path, (1, 26, 8)), binaries.digest(tmp_path, (1, 26, 9))}
    (tmp_path / "go.sum").write_text("b\n")
    keys.add(binaries.digest(tmp_path, (1, 26, 8)))
    assert len(keys) == 3


def test_an_older_go_fetches_the_toolchain_and_module_files_stay_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    module = binaries.MODULES / "kubernetes"
    monkeypatch.setattr(binaries, "go_version", lambda: (1, 24, 0))
    assert binaries.environment(module)["GOTOOLCHAIN"] == "auto"
    assert "-mod=readonly" in binaries.environment(module)["GOFLAGS"]
    assert "gitVersion=v1.36" in binaries.version_flags(module)


def test_nothing_listens_beyond_the_nodes_own_namespace_and_nobody_is_anonymous() -> None:
    arguments = {service.name: service.arguments for service in services(RANGES)}
    assert "--anonymous-auth=false" in arguments["kube-apiserver"]
    assert "--authorization-mode=Node,RBAC" in arguments["kube-apiserver"]
    assert f"--bind-address={RANGES.node}" in arguments["kube-apiserver"]
    kubelet = configuration.kubelet(RANGES, "perene-x")
    assert kubelet["authentication"]["anonymous"] == {"enabled": False}  # type: ignore[index]  # a JSON document
    assert kubelet["readOnlyPort"] == 0
    addresses = set(re.findall(r"\d+\.\d+\.\d+\.\d+", str(list(arguments.values()))))
    inside = {str(RANGES.node), "127.0.0.1", str(RANGES.services[0]), str(RANGES.pods[0])}
    assert addresses == inside, "every address is the node's, loopback of its namespace, or one of its ranges"


def test_images_are_never_collected_because_they_cannot_be_pulled_again() -> None:
    assert configuration.kubelet(RANGES, "perene-x")["imageGCHighThresholdPercent"] == 100
