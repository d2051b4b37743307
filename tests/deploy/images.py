"""Build an image by the steps of its Dockerfile, and run it as a container engine would: in folders made by debootstrap.

What is not imitated: layers, networks, and the profile of system calls. Needs root and namespaces of mounts.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

import pytest

from tests.database_server import folder_in_memory
from tests.deploy.proxies import program
from tests.releases.cache import cached

SECONDS = 900
"""Longest time for a step: downloads take long where others use the network, too."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ARCHIVE = "http://deb.debian.org/debian"
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@dataclass
class Image:
    """What a Dockerfile makes.

    :ivar root: folder with its files
    :ivar user: numbers of user and group
    """

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)


def need_chroots() -> None:
    """Skip a test where no image can be imitated; where changes land it must be possible."""
    program("debootstrap")
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        if os.environ.get("CI"):
            pytest.fail("no namespaces of mounts", pytrace=False)
        pytest.skip("needs root, and namespaces of mounts")


@contextmanager
def folder_of_images() -> Iterator[Path]:
    """Give a folder for images, in memory where that has room and takes programs and devices: it is several times as fast."""
    memory = folder_in_memory()
    if memory is not None and os.statvfs(memory).f_flag & (os.ST_NOEXEC | os.ST_NODEV):
        memory = None
    with TemporaryDirectory(prefix="sync-image-", dir=memory) as folder:
        # The user of an image has to reach its files.
        Path(folder).chmod(0o755)
        yield Path(folder)


def steps(dockerfile: str) -> Iterator[tuple[str, str]]:
    """Yield the instructions of a Dockerfile with what follows them."""
    lines = [line for line in dockerfile.splitlines() if line and not line.startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        name, _, rest = line.partition(" ")
        yield name, rest.strip()


def build(dockerfile: str, context: Path, folder: Path, arguments: Mapping[str, str]) -> Image:
    """Do the steps of a Dockerfile, and return its last image.

    :param context: folder with the files that it copies
    :param folder: where images go
    :param arguments: values of its ARG
    """
    bases: dict[str, Path] = {}
    images: dict[str, Image] = {}
    image, given = Image(folder), dict[str, str]()
    for name, rest in steps(dockerfile):
        match name:
            case "FROM":
                base, _, stage = rest.partition(" AS ")
                bases.setdefault(base, _debian(base, folder / "base"))
                image, given = Image(folder / f"image{len(images)}"), {}
                images[stage or "last"] = image
                subprocess.run(["cp", "-a", bases[base], image.root], check=True)
            case "RUN":
                run(image, ["/bin/sh", "-c", rest], given, check=True)
            case "ARG":
                variable, _, default = rest.partition("=")
                given[variable] = arguments.get(variable, default)
            case "COPY":
                *sources, target = shlex.split(rest)
                _copy(sources, f"{image.root}{target}", context, images)
            case "ENV":
                image.environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
            case "USER":
                image.user = rest
            case "ENTRYPOINT":
                image.entrypoint = json.loads(rest)
            case "CMD":
                image.command = json.loads(rest)
            case "HEALTHCHECK":
                image.health = json.loads(rest.partition("CMD ")[2])
            case "EXPOSE":
                pass
            case _:
                raise AssertionError(f"a step that the tests do not know: {name}")
    return image


def run(image: Image, command: Sequence[str], environment: Mapping[str, str], *, check: bool) -> subprocess.CompletedProcess[str]:
    """Run a command in an image that it may change, with the network of this machine.

    :param check: whether a failure is one of the test
    """
    mounts = [f"mount -t proc proc {image.root}/proc", _mount("/etc/resolv.conf", image.root)]
    # Certificates of this machine, which its package registries may need; those that the image installs stay as they are.
    shutil.copyfile(_CERTIFICATES, image.root / "tmp" / "certificates.crt")
    variables = {"PIP_CERT": "/tmp/certificates.crt", "PIP_DEFAULT_TIMEOUT": "180", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        [*_isolated(image, mounts), *command],
        env={"PATH": _PATH, "HOME": "/root", **variables, **image.environment, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert not check or done.returncode == 0, f"{command}\n{done.stdout[-5_000:]}"
    return done


def start(
    image: Image, command: Sequence[str], environment: Mapping[str, str], volumes: Mapping[Path, str], log: Path
) -> subprocess.Popen[bytes]:
    """Start a container as `compose.yaml` has it: read-only but for ``/tmp`` and volumes, without rights.

    :param volumes: paths in the container by those of this machine; ``:ro`` at the end for those that are not written to
    """
    mounts = [f"mount -t proc proc {image.root}/proc", f"mount -t tmpfs tmpfs {image.root}/tmp"]
    for path, target in volumes.items():
        place, _, read_only = target.partition(":")
        _make(image.root / place.removeprefix("/"), path)
        mounts.append(f"mount --bind {path} {image.root}{place}")
        mounts += [f"mount -o remount,bind,ro {image.root}{place}"] if read_only else []
    mounts.append(f"mount -o remount,bind,ro {image.root}")
    user, _, group = image.user.partition(":")
    limits = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--bounding-set=-all", "--no-new-privs"]
    with log.open("wb") as output:
        return subprocess.Popen(
            [*_isolated(image, mounts), *limits, *image.entrypoint, *command],
            env={"PATH": _PATH, **image.environment, **environment},
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def stop(container: subprocess.Popen[bytes]) -> None:
    """End a container: a process that has given up its rights outlives `unshare --kill-child`, so its group is ended."""
    os.killpg(container.pid, signal.SIGKILL)
    container.wait()


def _isolated(image: Image, mounts: Sequence[str]) -> list[str]:
    """Return what runs a command in an image, with mounts and processes that end with it."""
    script = "; ".join([f"mount --bind {image.root} {image.root}", *mounts, f'exec chroot {image.root} "$@"'])
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", script, "sh"]


def _mount(path: str, root: Path) -> str:
    _make(root / path.removeprefix("/"), Path(path))
    return f"mount --bind {path} {root}{path}"


def _make(place: Path, like: Path) -> None:
    """Make an empty file or folder to mount something on."""
    if like.is_dir():
        place.mkdir(parents=True, exist_ok=True)
    elif not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()


def _copy(sources: Sequence[str], target: str, context: Path, images: Mapping[str, Image]) -> None:
    if sources[0].startswith("--from="):
        stage, source = sources[0].removeprefix("--from="), sources[1]
        subprocess.run(["cp", "-a", f"{images[stage].root}{source}", target], check=True)
        return
    for source in sources:
        Path(target).mkdir(parents=True, exist_ok=True)
        shutil.copy(context / source, target)


def _debian(base: str, folder: Path) -> Path:
    """Give the files of an image of Debian without its documentation, such as ``debian:bookworm-slim``.

    To make them takes minutes, so they are kept in the cache for as long as the release stays the same.
    """
    suite = re.fullmatch(r"debian:(\w+)-slim", base)
    assert suite is not None, base
    if not folder.exists():
        with urlopen(f"{_ARCHIVE}/dists/{suite[1]}/InRelease", timeout=SECONDS) as answer:
            version = blake2b(answer.read(), digest_size=8).hexdigest()

        def make(made: Path) -> str:
            _make_debian(suite[1], folder)
            subprocess.run(["tar", "-cf", made / "files.tar", "-C", folder, "."], check=True)
            return version

        files = cached(f"debian-{suite[1]}", version, make) / "files.tar"
        if not folder.exists():
            folder.mkdir()
            subprocess.run(["tar", "--numeric-owner", "-xpf", files, "-C", folder], check=True)
    return folder


def _make_debian(suite: str, folder: Path) -> None:
    command = [program("debootstrap"), "--variant=minbase", suite, folder, _ARCHIVE]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout[-5_000:]
    # As the images of Debian have it: no waiting for the disk after each file.
    (folder / "etc" / "dpkg" / "dpkg.cfg.d" / "docker").write_text("force-unsafe-io\n")
