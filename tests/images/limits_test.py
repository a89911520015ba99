# SPDX-License-Identifier: Apache-2.0
"""Two ranks in one container under what clusters take away: they compute the same, or say why they cannot."""
from laboratory import PROGRAM, TRAINING, Scenario, flags, result_of


class Limits(Scenario):
    def two_ranks(self, options=(), extra=(), **how):
        arguments = ["run", "-n", "2", "--", PROGRAM, "train", "--data-dir=/data", *flags(TRAINING), *extra]
        volumes = {"/data": f"{self.lab.data}:ro", **how.pop("volumes", {})}
        return self.engine.run("limited", self.lab.image, arguments, options=["--entrypoint", PROGRAM, *options],
                               volumes=volumes, **how)

    def computes_the_same(self, *options, **how):
        ended = self.ends_well(self.two_ranks(options, **how))
        self.same_weights(ended, self.lab.undisturbed(TRAINING))
        return ended

    def test_a_read_only_root_file_system(self):
        self.computes_the_same("--read-only", "--read-only-tmpfs=false")

    def test_users_that_nobody_has_heard_of(self):
        for user in ("1000:1000", "10001:0", "65534"):
            with self.subTest(user):
                self.computes_the_same("--user", user)

    def test_the_restricted_profile_of_kubernetes(self):
        model = self.folder / "model"
        model.mkdir(mode=0o777)
        model.chmod(0o777)
        self.computes_the_same("--user", "1000:1000", "--read-only", "--read-only-tmpfs=false", "--cap-drop=all",
                               "--security-opt=no-new-privileges", "--tmpfs=/tmp:mode=1777", extra=["--model-dir=/model"],
                               volumes={"/model": model})
        self.assertEqual(sorted(path.name for path in model.iterdir() if path.suffix == ".safetensors"), ["model.safetensors"])

    def test_64_MB_of_shared_memory_and_less(self):
        for size in ("64m", "1m"):
            with self.subTest(size):
                self.computes_the_same(f"--shm-size={size}")

    def test_one_processor_and_half_of_one(self):
        for processors in ("1", "0.5"):
            with self.subTest(processors):
                self.computes_the_same(f"--cpus={processors}")

    def test_a_limit_of_memory_that_is_enough(self):
        self.computes_the_same("--memory=256m")

    def test_a_limit_of_memory_that_is_not_enough_is_named(self):
        ended = self.two_ranks(["--memory=16m", "--memory-swap=16m"], extra=["--hidden=2048,2048,2048"])
        self.assertNotEqual(ended.code, 0, ended)
        self.assertEqual(result_of(ended.out), {})
        self.assertRegex(ended.err, r"(?i)the model does not fit|signal 9|SIGKILL|memory", ended)

    def test_few_processes_and_few_open_files(self):
        self.computes_the_same("--pids-limit=64", "--ulimit=nofile=256:256", "--ulimit=nproc=32768:32768")

    def test_the_entry_point_on_all_of_it_at_once(self):
        ended = self.ends_well(self.engine.run(
            "limited", self.lab.image, ["train", "--data-dir=/data", *flags(TRAINING)], environment={"TRIREME_PROCS_PER_NODE": 2},
            options=["--read-only", "--read-only-tmpfs=false", "--user=10001", "--cap-drop=all", "--cpus=1", "--memory=256m",
                     "--shm-size=64m", "--security-opt=no-new-privileges"],
            volumes={"/data": f"{self.lab.data}:ro"}))
        self.same_weights(ended, self.lab.undisturbed(TRAINING))
