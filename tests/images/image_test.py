# SPDX-License-Identifier: Apache-2.0
"""What the image is, before anything is trained in it."""
import json

from laboratory import PROGRAM, Scenario

MIB = 1 << 20


class Image(Scenario):
    def shell(self, script, image=None, **how):
        ended = self.engine.run("look", image or self.lab.image, ["-c", script], options=["--entrypoint", "/bin/bash"], **how)
        return self.ends_well(ended).out

    def test_adds_less_than_40_MB_compressed_and_110_MB_unpacked_to_its_base(self):
        compressed, unpacked = self.engine.sizes(self.lab.image)
        print(f"[{compressed / 1e6:.1f} MB compressed, {unpacked / 1e6:.1f} MB unpacked]", end=" ")
        self.assertLess(compressed, 40e6)
        self.assertLess(unpacked, 110e6)

    def test_built_twice_is_the_same_layers_and_the_same_configuration(self):
        first, again = (self.engine.inspect(image) for image in (self.lab.image, self.lab.image_again))
        self.assertEqual(first["RootFS"]["Layers"], again["RootFS"]["Layers"])
        self.assertEqual(first["Config"], again["Config"])
        self.assertEqual(first["Created"], again["Created"])

    def test_starts_as_every_platform_starts_it(self):
        found = self.engine.inspect(self.lab.image)
        config = found["Config"]
        self.assertEqual(config["Entrypoint"], [PROGRAM, "entry"])  # exec form: no shell is process 1
        self.assertEqual(config["Cmd"], ["train"])
        self.assertEqual(config.get("User", ""), "")  # root, as SageMaker's folders need it
        self.assertEqual(list(config["ExposedPorts"]), ["8080/tcp"])
        self.assertEqual(config["StopSignal"], "SIGTERM")
        self.assertEqual(config["Labels"]["org.opencontainers.image.title"], "Trireme")
        self.assertEqual(config["Labels"]["org.opencontainers.image.licenses"], "Apache-2.0")
        version = self.engine.run("version", self.lab.image, ["--version"], options=["--entrypoint", PROGRAM]).out
        self.assertEqual(f"trireme {config['Labels']['org.opencontainers.image.version']}", version.strip())
        health = found["Healthcheck"] if "Healthcheck" in found else config["Healthcheck"]
        self.assertEqual(health["Test"], ["CMD", PROGRAM, "doctor"])

    def test_for_cuda_starts_the_same_program_the_same_way(self):
        plain, cuda = (self.engine.inspect(image)["Config"] for image in (self.lab.image, self.lab.cuda_image))
        for key in ("Entrypoint", "Cmd", "ExposedPorts", "StopSignal"):
            self.assertEqual(cuda[key], plain[key])
        self.assertIn("NVIDIA_DRIVER_CAPABILITIES=compute,utility", cuda["Env"])
        self.assertEqual(self.shell(f"sha256sum {PROGRAM}", self.lab.cuda_image), self.shell(f"sha256sum {PROGRAM}"))
        self.assertNotIn("not found", self.shell(f"ldd {PROGRAM}", self.lab.cuda_image))

    def test_is_found_healthy(self):
        self.engine.start("patient", self.lab.image, ["-c", "sleep 60"], options=["--entrypoint", "/bin/bash"])
        self.engine.await_running("patient")
        self.engine.podman("exec", "patient", PROGRAM, "doctor")

    def test_holds_what_the_program_loads_and_nothing_to_build_with(self):
        self.assertNotIn("not found", self.shell(f"ldd {PROGRAM}"))
        self.assertIn("/etc/ssl/certs/ca-certificates.crt", self.shell("ls /etc/ssl/certs/ca-certificates.crt"))
        self.assertEqual(self.shell("type -P gcc g++ cc ld make cmake ninja python3 perl5 sshd ||:"), "")

    def test_holds_no_key_and_nothing_where_platforms_mount(self):
        for image in (self.lab.image, self.lab.mpi_image):
            self.assertEqual(self.shell(
                "shopt -s nullglob; echo -n /opt/ml* /gcs* /workspace* /mnt/*; find / -xdev \\( -name 'id_*' -o -name '*_key' "
                "-o -name '*_key.pub' -o -name 'authorized_keys' -o -name '*.key' \\) -type f", image), "")

    def test_names_all_it_is_made_of(self):
        for image in (self.lab.image, self.lab.mpi_image):
            bill = json.loads(self.shell("cat /usr/local/share/trireme/sbom.spdx.json", image))
            installed = self.shell("dpkg-query --show --showformat='${Package} ${Version}\\n'", image).splitlines()
            named = {f"{package['name']} {package['versionInfo']}" for package in bill["packages"]}
            self.assertEqual(bill["spdxVersion"], "SPDX-2.3")
            self.assertEqual(named - set(installed), {"trireme 0.1.0"})
            self.assertEqual(set(installed) - named, set())
            identifiers = [package["SPDXID"] for package in bill["packages"]]
            self.assertEqual(len(identifiers), len(set(identifiers)))
            for relation in bill["relationships"]:
                self.assertIn(relation["relatedSpdxElement"], identifiers)

    def test_executes_any_other_command_as_it_is(self):
        ended = self.engine.run("other", self.lab.image, ["bash", "-c", "echo hello from $$; exit 7"])
        self.assertEqual((ended.code, ended.out.strip().rsplit(" ", 1)[0]), (7, "hello from"), ended)

    def test_an_own_image_takes_two_lines(self):
        folder = self.folder / "own"
        folder.mkdir()
        (folder / "mine").write_text("#!/bin/bash\necho rank=$RANK world=$WORLD_SIZE arguments=$*\n")
        (folder / "mine").chmod(0o755)
        (folder / "Dockerfile").write_text(f"FROM {self.lab.image}\nCOPY mine /usr/local/bin/mine\nENV TRIREME_PROGRAM=/usr/local/bin/mine\n")
        self.engine.build("localhost/trireme:own", folder / "Dockerfile", folder)
        ended = self.ends_well(self.engine.run("own", "localhost/trireme:own", ["train", "--fast"],
                                               environment={"TRIREME_PROCS_PER_NODE": 2}))
        for rank in (0, 1):
            self.assertIn(f"rank={rank} world=2 arguments=", ended.out)
