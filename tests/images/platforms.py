# SPDX-License-Identifier: Apache-2.0
"""What each platform gives the containers it starts: environment, files, names."""
import json
import shutil
from pathlib import Path

from laboratory import flags


class SageMaker:
    """A training job: containers algo-1, algo-2, … that are started with `train`, each with an /opt/ml of its own. The
    bucket stands for the one prefix that the checkpoint folders of all hosts are copied to and filled from."""

    def __init__(self, scenario, hosts, hyperparameters, *, bucket=None, environment=None, procs=1, options=()):
        self.scenario, self.engine, self.bucket = scenario, scenario.engine, bucket
        self.hosts = [f"algo-{host + 1}" for host in range(hosts)]
        self.environment = {"TRAINING_JOB_NAME": "ships", "AWS_REGION": "eu-west-1", "TRIREME_PROCS_PER_NODE": procs,
                            "TRAINING_JOB_ARN": "arn:aws:sagemaker:eu-west-1:111122223333:training-job/ships",
                            **(environment or {})}
        self.options = options
        self.hyperparameters = {name: str(value) for name, value in hyperparameters.items()}
        for host in self.hosts:
            self.lay_out(host)

    def tree(self, host):
        return self.scenario.folder / "sagemaker" / host

    def lay_out(self, host):
        shutil.rmtree(self.tree(host), ignore_errors=True)
        config = self.tree(host) / "input" / "config"
        for folder in (config, *(self.tree(host) / name for name in ("model", "output/data", "checkpoints", "input/data/train"))):
            folder.mkdir(parents=True)
        write_json(config / "resourceconfig.json", {
            "current_host": host, "current_instance_type": "ml.c5.xlarge", "current_group_name": "homogeneousCluster",
            "hosts": sorted(self.hosts), "network_interface_name": "eth0",
            "instance_groups": [{"instance_group_name": "homogeneousCluster", "instance_type": "ml.c5.xlarge",
                                 "hosts": sorted(self.hosts)}]})
        write_json(config / "hyperparameters.json", self.hyperparameters)
        write_json(config / "inputdataconfig.json", {"train": {
            "TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}})
        write_json(config / "checkpointconfig.json", {"LocalPath": "/opt/ml/checkpoints"})
        if self.bucket and self.bucket.exists():
            shutil.copytree(self.bucket, self.tree(host) / "checkpoints", dirs_exist_ok=True)

    def start(self, data=None):
        data = data or self.scenario.lab.data
        for host in self.hosts:
            source = data[host] if isinstance(data, dict) else data
            self.engine.start(host, self.scenario.lab.image, ["train"], self.environment, self.options,
                              {"/opt/ml": self.tree(host), "/opt/ml/input/data/train": f"{source}:ro"}, network="job")
        return self

    def wait(self, limit=60):
        """How each host ended; the checkpoints are in the bucket then."""
        ended = [self.engine.wait(host, limit) for host in self.hosts]
        if self.bucket:
            for host in self.hosts:
                shutil.copytree(self.tree(host) / "checkpoints", self.bucket, dirs_exist_ok=True)
        return ended

    def models(self):
        """The hosts that have left anything in their model folder."""
        return [host for host in self.hosts if any((self.tree(host) / "model").rglob("*"))]

    def failure(self, host):
        return (self.tree(host) / "output" / "failure").read_text("ascii")


class Vertex:
    """A custom job: one replica in pool 0, the others in pool 1; hyperparameters are flags, files are below /gcs."""

    def __init__(self, scenario, replicas, hyperparameters, *, procs=1, environment=None):
        self.scenario, self.engine = scenario, scenario.engine
        self.hosts = ["cmle-training-workerpool0-1a2b3c-0"]
        self.hosts += [f"cmle-training-workerpool1-1a2b3c-{index}" for index in range(replicas - 1)]
        self.bucket = scenario.folder / "gcs" / "ships-bucket"
        (self.bucket / "run").mkdir(parents=True, exist_ok=True)
        self.arguments = ["train", "--data-dir=/data", *flags(hyperparameters)]
        self.common = {"CLOUD_ML_JOB_ID": "8123456789012345678", "CLOUD_ML_PROJECT_ID": "123456789012",
                       "AIP_MODEL_DIR": "gs://ships-bucket/run/model/", "TRIREME_PROCS_PER_NODE": procs,
                       "AIP_CHECKPOINT_DIR": "gs://ships-bucket/run/checkpoints/",
                       "AIP_TENSORBOARD_LOG_DIR": "gs://ships-bucket/run/logs/", **(environment or {})}

    def start_pool(self, pool, arguments=()):
        """A replica of another pool: of parameter servers (2) or of evaluators (3)."""
        name = f"workerpool{pool}"
        host = f"cmle-training-{name}-1a2b3c-0"
        spec = self.cluster(0)
        spec["cluster"][name] = [f"{host}:2222"]
        spec["task"] = {"type": name, "index": 0}
        self.engine.start(host, self.scenario.lab.image, [*self.arguments, *arguments],
                          {"CLUSTER_SPEC": json.dumps(spec), **self.common},
                          volumes={"/gcs": self.bucket.parent, "/data": f"{self.scenario.lab.data}:ro"}, network="job")
        return host

    def cluster(self, replica):
        pools = {"workerpool0": [f"{self.hosts[0]}:2222"]}
        if len(self.hosts) > 1:
            pools["workerpool1"] = [f"{host}:2222" for host in self.hosts[1:]]
        task = {"type": "workerpool0", "index": 0} if replica == 0 else {"type": "workerpool1", "index": replica - 1}
        return {"cluster": pools, "environment": "cloud", "task": task, "job": "{\"job_args\":[]}"}

    def tf_config(self, replica):
        names = {"workerpool0": "chief", "workerpool1": "worker"}
        spec = self.cluster(replica)
        spec["cluster"] = {names[pool]: hosts for pool, hosts in spec["cluster"].items()}
        spec["task"]["type"] = names[spec["task"]["type"]]
        return spec

    def start(self):
        for replica, host in enumerate(self.hosts):
            environment = {"CLUSTER_SPEC": json.dumps(self.cluster(replica)), **self.common}
            if len(self.hosts) > 1:  # as on the platform: one replica is told less
                environment |= {"TF_CONFIG": json.dumps(self.tf_config(replica)), "MASTER_ADDR": self.hosts[0],
                                "MASTER_PORT": 2222, "RANK": replica, "WORLD_SIZE": len(self.hosts)}
            self.engine.start(host, self.scenario.lab.image, self.arguments, environment,
                              volumes={"/gcs": self.bucket.parent, "/data": f"{self.scenario.lab.data}:ro"}, network="job")
        return self

    def wait(self, limit=60):
        return [self.engine.wait(host, limit) for host in self.hosts]


def pytorchjob(replica, replicas, procs):
    """Of a pod of a PyTorchJob. WORLD_SIZE counts processes, RANK counts pods."""
    master = "ships-master-0"
    return {"MASTER_ADDR": master, "MASTER_PORT": 23456, "PET_MASTER_ADDR": master, "PET_MASTER_PORT": 23456,
            "WORLD_SIZE": replicas * procs, "RANK": replica, "PET_NODE_RANK": replica, "PET_NPROC_PER_NODE": procs,
            "PET_NNODES": replicas, "PYTHONUNBUFFERED": 1, "KUBERNETES_SERVICE_HOST": "10.96.0.1"}


def trainjob(replica, replicas, procs):
    """Of a pod of a TrainJob."""
    return {"PET_NNODES": replicas, "PET_NPROC_PER_NODE": procs, "PET_NODE_RANK": replica,
            "PET_MASTER_ADDR": "ships-node-0-0", "PET_MASTER_PORT": 29500, "KUBERNETES_SERVICE_HOST": "10.96.0.1"}


def slurm_step(rank, ranks, host):
    """Of a task of a Slurm step on one node."""
    return {"SLURM_JOB_ID": 4711, "SLURM_STEP_ID": 0, "SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_NODEID": 0,
            "SLURM_NTASKS": ranks, "SLURM_STEP_NUM_TASKS": ranks, "SLURM_NNODES": 1, "SLURM_STEP_NUM_NODES": 1,
            "SLURM_STEP_TASKS_PER_NODE": ranks, "SLURM_TASKS_PER_NODE": ranks, "SLURM_STEP_NODELIST": host,
            "SLURM_JOB_NODELIST": host}


def write_json(path, value):
    Path(path).write_text(json.dumps(value))
