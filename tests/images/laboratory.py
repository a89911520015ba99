# SPDX-License-Identifier: Apache-2.0
"""What every scenario starts from: the images, built once, and small data to train on."""
import random
import shutil
import struct
import subprocess
import unittest
from pathlib import Path

from containers import BASE, Engine

PROGRAM = "/usr/local/bin/trireme"
# A job of 60 steps on 90 samples that takes a moment: what it computes, not how fast, is looked at.
TRAINING = {"model": "mlp", "hidden": "16", "batch-size": "16", "logical-shards": "4", "seed": "7", "epochs": "10"}


class Laboratory:
    """The images of docker/, with the program that was built, in an Engine."""

    def __init__(self, folder, source, program):
        self.folder, self.source, self.program = Path(folder), Path(source), Path(program)
        self.engine = Engine(folder)
        self.engine.make_base()
        self.context = self.make_context()
        self.image, self.image_again, self.mpi_image, self.cuda_image = (
            f"localhost/trireme:{tag}" for tag in ("test", "again", "test-mpi", "test-cuda"))
        self.data = self.engine.state / "data"
        write_samples(self.data, 90, 40)
        self.hashes = {}

    def make_context(self):
        """What `cmake --install` leaves in an image, and the folder docker/."""
        context = self.engine.state / "context"
        (context / "installed" / "bin").mkdir(parents=True)
        subprocess.run(["install", "--strip", self.program, context / "installed" / "bin" / "trireme"], check=True)
        licence = context / "installed" / "share" / "doc" / "Trireme"
        licence.mkdir(parents=True)
        shutil.copy(self.source / "LICENSE", licence)
        shutil.copytree(self.source / "docker", context / "docker")
        for part in ("src/engines/mpi/module.c", "src/engines/mpi/module_table.h"):
            (context / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.source / part, context / part)
        return context

    def build_all(self):
        """Needs the network that packages come from."""
        docker = self.context / "docker"
        plain = (docker / "cpu.Dockerfile", self.context, {"PROGRAM": "installed", "BASE": BASE})
        self.engine.build_at_once((self.image, *plain), (self.image_again, *plain, True))
        # What of the last does not want CUDA: its bases cannot be had everywhere, and NCCL is not in Debian's main section.
        cuda = {"PROGRAM": "installed", "BUILD": BASE, "BASE": BASE, "NCCL": ""}
        self.engine.build_at_once(
            (self.mpi_image, docker / "mpi.Dockerfile", self.context, {"IMAGE": self.image, "BASE": BASE}),
            (self.cuda_image, docker / "cuda.Dockerfile", self.context, cuda))

    def undisturbed(self, training, data=None):
        """The result line of the same training as one process of one container, with nothing around it."""
        data = data or self.data
        key = (tuple(sorted(training.items())), data)
        if key not in self.hashes:
            ended = self.engine.run("alone", self.image, ["train", "--data-dir=/data", *flags(training)],
                                    options=["--entrypoint", PROGRAM], volumes={"/data": f"{data}:ro"})
            if ended.code != 0:
                raise AssertionError(f"training alone: {ended}")
            self.hashes[key] = result_of(ended.out)
        return self.hashes[key]


class Scenario(unittest.TestCase):
    """A promise about containers. Whatever it starts is gone behind it."""
    lab = None  # set before the tests run

    @property
    def engine(self):
        return self.lab.engine

    def setUp(self):
        self.folder = self.engine.state / "scenario"
        self.folder.mkdir()

    def tearDown(self):
        if self.engine.running:
            self.engine.remove_all()
        shutil.rmtree(self.folder)
        self.assertEqual(self.engine.containers(), [])

    def ends_well(self, ended):
        self.assertEqual(ended.code, 0, ended)
        return ended

    def same_weights(self, ended, expected):
        result = result_of(ended.out)
        self.assertEqual(result.get("weights_xxh3"), expected["weights_xxh3"], ended)
        self.assertEqual(result["steps"], expected["steps"], ended)


def flags(hyperparameters):
    return [f"--{name}={value}" for name, value in hyperparameters.items()]


def result_of(out):
    """What the last line says, as a map; empty when it is no result."""
    lines = out.strip().splitlines()
    if not lines or not lines[-1].startswith("result: "):
        return {}
    return dict(word.split("=", 1) for word in lines[-1].split()[1:] if "=" in word)


def write_samples(folder, train, test):
    """The four IDX files of a data set: 6 x 6 pixels, ten classes that each have a bright band of their own."""
    side, classes = 6, 10
    folder.mkdir(parents=True)
    for name, count, seed in (("train", train, 1), ("t10k", test, 2)):
        source = random.Random(seed)
        labels = bytes(source.randrange(classes) for _ in range(count))
        pixels = bytes(source.randrange(60) + (180 if pixel // 3 == label else 0)
                       for label in labels for pixel in range(side * side))
        (folder / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, count, side, side) + pixels)
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels)
