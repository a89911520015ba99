# SPDX-License-Identifier: Apache-2.0
"""Images built and containers run with podman, buildah and runc, in a place of their own.

Everything lives below one folder: the storage (kept, so that the next run finds its layers) and the state of what runs
(thrown away). The process that uses this module sits in its own mount and process namespaces, and in its own
network namespace once the images are built (tests/support/enclosure.py): when it ends, however it ends, its containers, bridges,
firewall rules and mounts end with it.
"""
import concurrent.futures
import datetime
import gzip
import json
import os
import resource
import shutil
import subprocess
import time
from pathlib import Path

import enclosure

NEEDED = {"podman": "podman", "buildah": "buildah", "runc": "runc", "conmon": "conmon", "mmdebstrap": "mmdebstrap",
          "unshare": "util-linux", "ip": "iproute2", "apt-get": "apt"}
HELPERS = {"netavark": "/usr/lib/podman/netavark", "aardvark-dns": "/usr/lib/podman/aardvark-dns"}
BASE = "docker.io/library/debian:bookworm-slim"
LEAST_DISK = 3 << 30
# The enclosure's own file system. podman refuses a run root of 50 characters and more, in the process that cleans up behind a
# container only: `podman run` then waits 20 s for it. So this must not depend on where the build folder is.
RUN_ROOT = "/run/containers/run"


class Unable(Exception):
    """What podman or buildah refused, and why."""


class NoBase(Unable):
    """Why there is nothing to build images from here."""


def obstacle(folder):
    """Why this machine cannot run the tests; empty where it can."""
    missing = [package for tool, package in NEEDED.items() if not shutil.which(tool)]
    missing += [package for package, path in HELPERS.items() if not os.access(path, os.X_OK)]
    if missing:
        return f"missing: {' '.join(missing)} (scripts/bootstrap installs them)"
    free = shutil.disk_usage(folder).free
    if free < LEAST_DISK:
        return f"only {free >> 20} MiB free in {folder}, {LEAST_DISK >> 20} needed"
    return enclosure.obstacle()


def mirror():
    """Where this machine's own packages come from."""
    listing = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages",
                              "Codename: bookworm"], capture_output=True, text=True, check=False)
    found = sorted(set(listing.stdout.split()))
    if not found:
        raise NoBase("apt knows no mirror of Debian bookworm (apt-get update?)")
    return found[0]


class Ended:
    """How a container ended and what it wrote."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Engine:
    """podman and buildah on the storage below `folder`."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.state = self.folder / "state"
        self.cache = self.folder / "cache"
        self.running = {}  # podman's process of each container
        shutil.rmtree(self.state, ignore_errors=True)  # of a run that was killed
        for path in (self.state, self.cache):
            path.mkdir(parents=True, exist_ok=True)
        (self.folder / "storage.conf").write_text(
            f'[storage]\ndriver="overlay"\nrunroot="{RUN_ROOT}"\ngraphroot="{self.folder}/storage"\n')
        files = min(1 << 20, os.sysconf("SC_OPEN_MAX"), hard_limit_of_files())
        # No limit may be raised where CAP_SYS_RESOURCE is missing; crun refuses cgroups of two kinds side by side.
        (self.folder / "containers.conf").write_text(
            f'[containers]\ndefault_ulimits=["nofile={files}:{files}", "nproc=32768:32768"]\n'
            '[engine]\nruntime="runc"\ncgroup_manager="cgroupfs"\nevents_logger="file"\n'
            f'tmp_dir="{self.state}/libpod"\n'
            f'[network]\nnetwork_backend="netavark"\nnetwork_config_dir="{self.state}/networks"\n')
        self.environment = {name: value for name, value in os.environ.items()
                            if name in ("PATH", "LANG", "HOME", "http_proxy", "https_proxy", "no_proxy")}
        self.environment |= {"CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
                             "CONTAINERS_CONF": str(self.folder / "containers.conf"), "TMPDIR": str(self.state),
                             "XDG_RUNTIME_DIR": str(self.state)}
        self.podman("info")
        self.remove_all()

    def call(self, words, check=True, limit=300):
        # conmon leaves a file `oom` where it was started when a container has used up its memory.
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, env=self.environment, cwd=self.state,
                              timeout=limit, errors="replace", check=False)
        if check and done.returncode != 0:
            raise Unable(f"{' '.join(map(str, words[:6]))} …: {done.stderr.strip()[-2000:] or done.stdout[-2000:]}")
        return done

    def podman(self, *words, check=True, limit=120):
        return self.call(["podman", *words], check, limit)

    # Images

    def make_base(self):
        """The Debian that everything starts from, made of this machine's own packages; once a day."""
        today = datetime.date.today().isoformat()
        tar = self.cache / f"bookworm-slim-{today}.tar"
        if not tar.exists():
            for old in self.cache.glob("bookworm-*"):
                old.unlink()
            unfinished = tar.with_suffix(".part")
            done = subprocess.run(
                ["mmdebstrap", "--quiet", "--variant=minbase", "--format=tar",
                 *(f"--dpkgopt=path-exclude=/usr/share/{what}/*" for what in ("doc", "man", "locale", "info")),
                 # As in Debian's own images: nobody waits for a disk while a layer is made, and no translations are fetched.
                 "--dpkgopt=force-unsafe-io", '--aptopt=Acquire::Languages "none"',
                 "bookworm", unfinished, mirror()],
                capture_output=True, text=True, env={**self.environment, "SOURCE_DATE_EPOCH": "1700000000"}, check=False)
            if done.returncode != 0:
                raise NoBase(f"mmdebstrap: {done.stderr.strip()[-500:]}")
            unfinished.rename(tar)
        dated = f"localhost/debian:slim-{today}"
        if self.podman("image", "exists", dated, check=False).returncode != 0:
            self.podman("rmi", "--all", "--force", check=False)  # yesterday's
            self.podman("import", "--quiet", tar, dated)
        self.podman("tag", dated, BASE)

    def build(self, tag, dockerfile, context, arguments=None, anew=False):
        """Builds an image. `anew`: without the layers that are there from an earlier build."""
        given = [f"--build-arg={name}={value}" for name, value in (arguments or {}).items()]
        self.call(["buildah", "build", "--quiet", "--pull-never", "--isolation=chroot", "--format=docker", "--timestamp=0",
                   "--layers", *(["--no-cache"] if anew else []), "--tag", tag, "--file", dockerfile, *given, context],
                  limit=1500)

    def build_at_once(self, *builds):
        """Several of them, each a tuple of what build() takes."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for build in [pool.submit(self.build, *each) for each in builds]:
                build.result()

    def inspect(self, tag):
        return json.loads(self.podman("image", "inspect", tag).stdout)[0]

    def sizes(self, tag):
        """Bytes of what an image adds to the base: (compressed as a registry holds them, unpacked)."""
        folder = self.state / "pushed"
        self.call(["buildah", "push", "--quiet", "--format=oci", tag, f"oci:{folder}:image"])
        blob = lambda digest: folder / "blobs" / digest.replace(":", "/")
        index = json.loads((folder / "index.json").read_text())
        manifest = json.loads(blob(index["manifests"][0]["digest"]).read_text())
        shared = len(self.inspect(BASE)["RootFS"]["Layers"])
        layers = manifest["layers"][shared:]
        unpacked = 0
        for layer in layers:
            with gzip.open(blob(layer["digest"])) as stream:
                while chunk := stream.read(1 << 20):
                    unpacked += len(chunk)
        shutil.rmtree(folder)
        return sum(layer["size"] for layer in layers), unpacked

    # Containers

    def network(self, name, subnet="10.89.77.0/24"):
        self.podman("network", "create", "--internal", "--subnet", subnet, name)

    def remove_network(self, name):
        self.podman("network", "rm", "--force", name)

    def start(self, name, image, arguments=(), environment=None, options=(), volumes=None, network="none"):
        """Starts a container, and returns as soon as podman has begun to."""
        words = ["podman", "run", "--pull=never", "--no-healthcheck", "--rm", "--name", name, "--hostname", name, f"--network={network}"]
        for variable, value in (environment or {}).items():
            words += ["--env", f"{variable}={value}"]
        for inside, outside in (volumes or {}).items():  # "FOLDER" or "FOLDER:ro"
            folder, _, mode = str(outside).partition(":")
            words += ["--volume", f"{folder}:{inside}{':' if mode else ''}{mode}"]
        words += [*options, image, *arguments]
        with open(self.state / f"{name}.out", "wb") as out, open(self.state / f"{name}.err", "wb") as err:
            self.running[name] = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                                  env=self.environment, cwd=self.state)
        return name

    def said(self, name):
        """What a container has written so far."""
        return [(self.state / f"{name}.{stream}").read_text(errors="replace") for stream in ("out", "err")]

    def wait(self, name, limit=60):
        """The end of a container, which is gone then."""
        code = self.running[name].wait(limit)
        del self.running[name]
        return Ended(code, *self.said(name))

    def await_running(self, name, limit=30):
        end = time.monotonic() + limit
        while self.podman("inspect", "--format", "{{.State.Status}}", name, check=False).stdout.strip() != "running":
            if time.monotonic() > end or self.running[name].poll() is not None:
                raise AssertionError(f"{name} does not run:\n" + "\n".join(self.said(name)))
            time.sleep(0.1)

    def run(self, name, image, arguments=(), limit=60, **how):
        self.start(name, image, arguments, **how)
        return self.wait(name, limit)

    def stop(self, *names, seconds=60):
        """As a platform stops containers: SIGTERM, and SIGKILL when the grace is over. One may have ended by itself."""
        self.podman("stop", "--ignore", f"--time={seconds}", *names, check=False, limit=seconds + 30)

    def signal(self, name, number):
        self.podman("kill", f"--signal={number}", name)

    def await_text(self, name, text, limit=30):
        """Until a container has written `text` to either stream."""
        end = time.monotonic() + limit
        while not any(text in said for said in self.said(name)):
            if time.monotonic() > end or self.running[name].poll() is not None:
                raise AssertionError(f"{name} never wrote '{text}':\n" + "\n".join(self.said(name)))
            time.sleep(0.05)

    def remove_all(self):
        self.podman("rm", "--all", "--force", "--time=0", check=False)
        for process in self.running.values():
            process.wait(30)
        self.running.clear()

    def containers(self):
        return self.podman("ps", "--all", "--format", "{{.Names}}").stdout.split()

    def networks(self):
        """Those that were made."""
        return [name for name in self.podman("network", "ls", "--format", "{{.Name}}").stdout.split() if name != "podman"]

    def close(self):
        self.remove_all()
        subprocess.run(["umount", "--lazy", f"{self.folder}/storage/overlay"], capture_output=True, check=False)
        shutil.rmtree(self.state, ignore_errors=True)
        # runc leaves the folder that its cgroups were in; others of that name that are in use stay.
        for controller in Path("/sys/fs/cgroup").glob("*/libpod_parent"):
            for inner in sorted(controller.rglob("*"), reverse=True):
                if inner.is_dir():
                    try_rmdir(inner)
            try_rmdir(controller)


def hard_limit_of_files():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def try_rmdir(path):
    try:
        path.rmdir()
    except OSError:
        pass
