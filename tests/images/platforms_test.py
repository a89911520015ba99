# SPDX-License-Identifier: Apache-2.0
"""The same image under Vertex AI, Azure ML, PyTorchJob, TrainJob, torchrun-like launchers and Slurm's variables."""
import json
import shlex

from laboratory import PROGRAM, TRAINING, Scenario, flags, result_of
from platforms import Vertex, pytorchjob, slurm_step, trainjob


class VertexAi(Scenario):
    def test_one_three_replicas_and_a_model_in_the_bucket(self):
        for replicas in (1, 3):
            with self.subTest(replicas=replicas):
                job = Vertex(self, replicas, TRAINING).start()
                ended = job.wait()
                for replica in ended:
                    self.ends_well(replica)
                self.same_weights(ended[0], self.lab.undisturbed(TRAINING))
                self.assertTrue((job.bucket / "run" / "model" / "model.safetensors").exists())

    def test_an_evaluator_of_pool_3_scores_what_the_others_train(self):
        job = Vertex(self, 2, TRAINING)
        evaluator = job.start_pool(3)
        trained = self.ends_well(job.start().wait()[0])
        ended = self.ends_well(self.engine.wait(evaluator))
        self.assertEqual(result_of(ended.out).get("role"), "evaluator", ended)
        self.assertEqual(result_of(ended.out)["weights_xxh3"], result_of(trained.out)["weights_xxh3"])

    def test_an_evaluator_whose_job_is_gone_ends(self):
        ended = self.engine.wait(Vertex(self, 1, TRAINING).start_pool(3, ["--evaluator-patience=1s"]))
        self.assertEqual(ended.code, 1, ended)
        self.assertIn("there has been no checkpoint in /gcs/", ended.err)

    def test_a_parameter_server_of_pool_2_is_refused_by_name(self):
        ended = self.engine.wait(Vertex(self, 1, TRAINING).start_pool(2))
        self.assertEqual(ended.code, 2, ended)
        self.assertIn("parameter server", ended.err)

    def test_the_file_that_tuning_reads(self):
        tuning = self.folder / "gcs" / "ships-bucket" / "tuning"
        tuning.mkdir(parents=True)
        job = Vertex(self, 1, TRAINING, environment={"CLOUD_ML_TRIAL_ID": "3", "CLOUD_ML_HP_METRIC_TAG": "val_accuracy",
                                                     "CLOUD_ML_HP_METRIC_FILE": "/gcs/ships-bucket/tuning/output.metrics"}).start()
        self.ends_well(job.wait()[0])
        lines = [json.loads(line) for line in (tuning / "output.metrics").read_text().splitlines()]
        self.assertEqual(lines[-1]["trial"], "3")
        self.assertIsInstance(lines[-1]["val_accuracy"], str)


class AzureMl(Scenario):
    """Its command string is run by a shell; the entry point of the image is not."""

    def test_distribution_pytorch_two_nodes_of_two_processes(self):
        nodes, per_node = ["node-a", "node-b"], 2
        training = " ".join(shlex.quote(word) for word in ["train", "--data-dir=/data", *flags(TRAINING)])
        for node, host in enumerate(nodes):
            processes = "".join(f"RANK={node * per_node + local} LOCAL_RANK={local} {PROGRAM} {training} & ranks+=\" $!\"; "
                                for local in range(per_node))
            script = f"{processes} for rank in $ranks; do wait $rank || exit $?; done"
            self.engine.start(host, self.lab.image, ["-c", script], {
                "WORLD_SIZE": 4, "NODE_RANK": node, "MASTER_ADDR": nodes[0], "MASTER_PORT": 6105, "AZUREML_RUN_ID": "ships_1",
                "AZUREML_NODE_COUNT": 2, "AZ_BATCHAI_CLUSTER_NAME": "cpu-cluster", "AZ_BATCH_MASTER_NODE": f"{nodes[0]}:6000",
                "LOCAL_WORLD_SIZE": per_node},
                ["--entrypoint", "/bin/bash", "--workdir", "/tmp"], {"/data": f"{self.lab.data}:ro"}, network="job")
        ended = [self.ends_well(self.engine.wait(host)) for host in nodes]
        self.same_weights(ended[0], self.lab.undisturbed(TRAINING))
        self.assertEqual(result_of(ended[0].out)["world"], "4")


class Kubeflow(Scenario):
    def pods(self, names, variables, procs):
        for replica, name in enumerate(names):
            log = self.folder / f"termination-{replica}"
            log.touch(mode=0o666)
            log.chmod(0o666)
            self.engine.start(name, self.lab.image, ["train", "--data-dir=/data", *flags(TRAINING)],
                              variables(replica, len(names), procs),
                              ["--user=1000:1000", "--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp:mode=1777", "--cap-drop=all",
                               "--security-opt=no-new-privileges"],
                              {"/data": f"{self.lab.data}:ro", "/dev/termination-log": log}, network="job")
        ended = [self.ends_well(self.engine.wait(name)) for name in names]
        self.same_weights(ended[0], self.lab.undisturbed(TRAINING))
        self.assertEqual(result_of(ended[0].out)["world"], str(len(names) * procs))

    def test_pytorchjob(self):
        self.pods(["ships-master-0", "ships-worker-0"], pytorchjob, 2)

    def test_trainjob(self):
        self.pods(["ships-node-0-0", "ships-node-0-1"], trainjob, 1)

    def test_a_failure_is_the_termination_message(self):
        log = self.folder / "termination"
        log.touch()
        ended = self.engine.run("pod", self.lab.image, ["train", "--data-dir=/nowhere"], environment=trainjob(0, 1, 1),
                                volumes={"/dev/termination-log": log}, network="job")
        self.assertNotEqual(ended.code, 0)
        self.assertIn("/nowhere", log.read_text())


class Processes(Scenario):
    def test_torchrun_like_variables_on_three_hosts(self):
        hosts = [f"rank-{rank}" for rank in range(3)]
        for rank, host in enumerate(hosts):
            self.engine.start(host, self.lab.image, ["train", "--data-dir=/data", *flags(TRAINING)], {
                "RANK": rank, "WORLD_SIZE": 3, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1, "MASTER_ADDR": hosts[0],
                "MASTER_PORT": 29500, "TORCHELASTIC_RUN_ID": "ships"},
                ["--entrypoint", PROGRAM], {"/data": f"{self.lab.data}:ro"}, network="job")
        ended = [self.ends_well(self.engine.wait(host)) for host in hosts]
        self.same_weights(ended[0], self.lab.undisturbed(TRAINING))

    def test_two_tasks_of_a_slurm_step_in_one_container(self):
        variables = [" ".join(f"{name}={value}" for name, value in slurm_step(rank, 2, "tank").items()) for rank in range(2)]
        training = " ".join(["train", "--data-dir=/data", *flags(TRAINING)])
        script = f"{variables[1]} {PROGRAM} {training} & {variables[0]} {PROGRAM} {training} && wait $!"
        ended = self.ends_well(self.engine.run("tank", self.lab.image, ["-c", script], options=["--entrypoint", "/bin/bash"],
                                               volumes={"/data": f"{self.lab.data}:ro"}, network="job"))
        self.same_weights(ended, self.lab.undisturbed(TRAINING))
