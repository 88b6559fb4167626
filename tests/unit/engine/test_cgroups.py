"""Control groups of both versions, on a tree of plain files."""

from __future__ import annotations

from pathlib import Path

from local.sandboxes.spawner import hierarchy
from local.sandboxes.spawner.cgroups import Cgroups
from local.sandboxes.spawner.limits import Limits

LIMITS = Limits(memory_bytes=1000, disk_bytes=1, pids=7, cpus=1.5)


def mounts(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "mounts"
    path.write_text("\n".join(lines))
    return path


def membership(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "own"
    path.write_text("\n".join(lines))
    return path


def files(folder: Path, **content: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in content.items():
        (folder / name.replace("__", ".")).write_text(text)


def version_one(tmp_path: Path) -> Cgroups:
    top = tmp_path / "cg"
    for controller in ("memory", "pids", "cpu", "cpuacct", "freezer"):
        (top / controller / "ours").mkdir(parents=True)
    return hierarchy.find(
        "engine",
        mounts(
            tmp_path,
            f"cgroup {top}/memory cgroup rw,memory 0 0",
            f"cgroup {top}/pids cgroup rw,pids 0 0",
            f"cgroup {top}/cpu cgroup rw,cpu,cpuacct 0 0",
            f"cgroup {top}/freezer cgroup rw,freezer 0 0",
        ),
        membership(tmp_path, "9:memory:/ours", "8:pids:/", "1:cpu,cpuacct:/ours", "0::/"),
    )


def test_version_one_is_found_below_our_own_groups(tmp_path: Path) -> None:
    groups = version_one(tmp_path)
    assert groups.available
    assert groups.version == 1
    assert groups.roots["memory"] == tmp_path / "cg/memory/ours/engine"
    assert groups.roots["pids"] == tmp_path / "cg/pids/engine"
    assert groups.roots["cpuacct"] == groups.roots["cpu"] == tmp_path / "cg/cpu/ours/engine"
    assert groups.roots["cpu"].is_dir()


def test_version_one_gets_its_caps_and_its_processes(tmp_path: Path) -> None:
    groups = version_one(tmp_path)
    files(groups.roots["memory"] / "box", memory__limit_in_bytes="", tasks="")
    files(groups.roots["pids"] / "box", pids__max="", tasks="")
    files(groups.roots["cpu"] / "box", cpu__cfs_quota_us="", cpu__cfs_period_us="", tasks="")
    files(groups.roots["freezer"] / "box", freezer__state="", tasks="")
    groups.create("box", LIMITS)
    groups.join("box")
    assert groups.freeze("box", frozen=True)

    def read(controller: str, name: str) -> str:
        return (groups.roots[controller] / "box" / name).read_text()

    assert read("memory", "memory.limit_in_bytes") == "1000"
    assert read("pids", "pids.max") == "7"
    assert read("cpu", "cpu.cfs_quota_us") == "150000"
    assert read("freezer", "tasks") == "0"
    assert read("freezer", "freezer.state") == "FROZEN"


def version_two(tmp_path: Path, enabled: str) -> Cgroups:
    top = tmp_path / "cg2"
    files(top / "ours", cgroup__subtree_control=enabled)
    files(top / "ours/engine", cgroup__subtree_control="")
    return hierarchy.find(
        "engine",
        mounts(tmp_path, f"cgroup2 {top} cgroup2 rw 0 0"),
        membership(tmp_path, "0::/ours"),
    )


def test_version_two_delegates_the_controllers_downwards(tmp_path: Path) -> None:
    groups = version_two(tmp_path, "memory")
    top = tmp_path / "cg2/ours"
    assert groups.version == 2
    assert groups.roots == dict.fromkeys(("memory", "pids", "cpu"), top / "engine")
    assert (top / "cgroup.subtree_control").read_text() == "+cpu +pids"
    assert (top / "engine/cgroup.subtree_control").read_text() == "+cpu +memory +pids"


def test_version_two_gets_its_caps_and_tells_what_is_used(tmp_path: Path) -> None:
    groups = version_two(tmp_path, "cpu memory pids")
    box = groups.roots["memory"] / "box"
    files(
        box,
        memory__max="",
        pids__max="",
        cpu__max="",
        cpu__stat="usage_usec 2500000\nuser_usec 1",
        memory__current="4096\n",
        memory__stat="anon 1\nfile 96",
    )
    groups.create("box", LIMITS)
    assert (box / "memory.max").read_text() == "1000"
    assert (box / "pids.max").read_text() == "7"
    assert (box / "cpu.max").read_text() == "150000 100000"
    assert not (box / "memory.swap.max").exists()
    usage = groups.usage("box")
    assert usage is not None
    assert (usage.cpu_seconds, usage.memory_bytes, usage.cache_bytes) == (2.5, 4096, 96)
    assert groups.usage("other") is None


def test_without_a_writable_group_there_are_none(tmp_path: Path) -> None:
    nothing = hierarchy.find("engine", tmp_path / "no", tmp_path / "no")
    assert not nothing.available
    assert nothing.usage("box") is None
    assert nothing.destroy("box")
    half = hierarchy.find(
        "engine",
        mounts(tmp_path, f"cgroup {tmp_path} cgroup rw,memory 0 0"),
        membership(tmp_path, "1:memory:/"),
    )
    assert not half.available
    assert not (tmp_path / "engine").exists()


def test_groups_of_an_earlier_engine_are_cleared(tmp_path: Path) -> None:
    groups = version_one(tmp_path)
    for root in groups.roots.values():
        (root / "left").mkdir(exist_ok=True)
    assert groups.clear() == 1
    assert not any((root / "left").exists() for root in groups.roots.values())
    groups.remove()
    assert not any(root.exists() for root in groups.roots.values())


def group(folder: Path, **more: str) -> Path:
    """A group as the kernel makes it, without processes."""
    files(folder, cgroup__procs="", **more)
    return folder


def test_version_one_holds_in_a_frozen_group_of_its_own(tmp_path: Path) -> None:
    groups = version_one(tmp_path)
    box = group(groups.roots["freezer"] / "box", freezer__state="THAWED")
    held = group(box / "held", freezer__state="THAWED")
    (box / "cgroup.procs").write_text("10\n11\n")
    assert groups.hold("box", keep={10, 11})
    assert (held / "freezer.state").read_text() == "FROZEN"
    assert (box / "freezer.state").read_text() == "THAWED"
    groups.release("box")
    assert (held / "freezer.state").read_text() == "THAWED"


def test_version_two_holds_in_a_frozen_group_of_its_own(tmp_path: Path) -> None:
    groups = version_two(tmp_path, "cpu memory pids")
    held = groups.roots["memory"] / "box/held"
    group(held.parent)
    group(held, cgroup__freeze="0", cgroup__events="populated 1\nfrozen 1")
    assert groups.hold("box", keep=set())
    assert (held / "cgroup.freeze").read_text() == "1"
    groups.let_die("box")
    assert (held / "cgroup.freeze").read_text() == "0"


def test_what_does_not_stand_still_is_let_go(tmp_path: Path) -> None:
    groups = version_two(tmp_path, "cpu memory pids")
    held = groups.roots["memory"] / "box/held"
    group(held.parent)
    group(held, cgroup__freeze="0", cgroup__events="populated 1\nfrozen 0")
    assert not groups.hold("box", keep=set(), seconds=0.05)
    assert (held / "cgroup.freeze").read_text() == "0"


def test_nothing_is_held_without_a_freezer(tmp_path: Path) -> None:
    nothing = hierarchy.find("engine", tmp_path / "no", tmp_path / "no")
    assert not nothing.hold("box", keep=set())
    nothing.release("box")
    groups = version_one(tmp_path)
    assert not groups.hold("nobody", keep=set())
    groups.release("nobody")


def test_a_group_goes_with_what_was_held_in_it(tmp_path: Path) -> None:
    groups = version_one(tmp_path)
    for root in groups.roots.values():
        (root / "box").mkdir(exist_ok=True)
    (groups.roots["freezer"] / "box/held").mkdir()
    assert groups.destroy("box")
    assert not (groups.roots["freezer"] / "box").exists()
