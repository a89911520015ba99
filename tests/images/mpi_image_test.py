# SPDX-License-Identifier: Apache-2.0
"""The image with Open MPI: as an MPIJob runs it (launcher and workers, sshd as an ordinary user), and inside one container."""
import subprocess

from laboratory import PROGRAM, TRAINING, Scenario, flags, result_of

RESTRICTED = ["--user=1000:1000", "--cap-drop=all", "--security-opt=no-new-privileges"]


class MpiImage(Scenario):
    def test_azure_distribution_mpi_on_one_node(self):
        for engine in ("host", "mpi"):
            with self.subTest(engine=engine):
                ended = self.ends_well(self.engine.run(
                    "node", self.lab.mpi_image,
                    ["--allow-run-as-root", "--oversubscribe", "-np", "2", PROGRAM, "train", "--data-dir=/data", *flags(TRAINING)],
                    environment={"AZUREML_RUN_ID": "ships_1", "AZ_BATCHAI_MPI_MASTER_NODE": "localhost", "TRIREME_ENGINE": engine,
                                 "OMPI_MCA_btl_vader_single_copy_mechanism": "none", "OMPI_MCA_mpi_yield_when_idle": 1},
                    options=["--entrypoint", "/usr/bin/mpirun"], volumes={"/data": f"{self.lab.data}:ro"}))
                self.same_weights(ended, self.lab.undisturbed(TRAINING))
                self.assertEqual(result_of(ended.out)["world"], "2")

    def test_mpijob_of_a_launcher_and_two_workers(self):
        keys = self.folder / "ssh"
        keys.mkdir()
        subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", keys / "id_rsa"], check=True)
        (keys / "authorized_keys").write_text((keys / "id_rsa.pub").read_text())
        for path in (keys, *keys.iterdir()):
            subprocess.run(["chown", "1000:1000", path], check=True)
        hostfile = self.folder / "mpi"
        hostfile.mkdir()
        workers = ["ships-worker-0", "ships-worker-1"]
        (hostfile / "hostfile").write_text("".join(f"{worker} slots=1\n" for worker in workers))
        volumes = {"/home/mpiuser/.ssh": keys, "/etc/mpi": f"{hostfile}:ro", "/data": f"{self.lab.data}:ro"}
        for worker in workers:
            self.engine.start(worker, self.lab.mpi_image, ["-De", "-f", "/home/mpiuser/.sshd_config"], {"K_MPI_JOB_ROLE": "worker"},
                              ["--entrypoint", "/usr/sbin/sshd", *RESTRICTED], volumes, network="job")
            self.engine.await_text(worker, "Server listening")
        ended = self.engine.run(
            "ships-launcher", self.lab.mpi_image,
            ["-np", "2", "--mca", "btl", "tcp,self", PROGRAM, "train", "--data-dir=/data", *flags(TRAINING)],
            environment={"K_MPI_JOB_ROLE": "launcher", "OMPI_MCA_orte_default_hostfile": "/etc/mpi/hostfile",
                         "OMPI_MCA_orte_keep_fqdn_hostnames": "true", "OMPI_MCA_orte_set_default_slots": 1,
                         "OMPI_MCA_plm_rsh_args": "-o ConnectionAttempts=10", "HOME": "/home/mpiuser"},
            options=["--entrypoint", "/usr/bin/mpirun", *RESTRICTED], volumes=volumes, network="job")
        self.same_weights(self.ends_well(ended), self.lab.undisturbed(TRAINING))
