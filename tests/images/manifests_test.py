#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The manifests of docker/ are what their platforms read: no unknown field, none missing, and what they promise about
security and interruption is in them. Reads files only; exit code 77 without PyYAML."""
import re
import sys
import unittest
from pathlib import Path

try:
    import yaml
except ImportError:
    print("skipped: no PyYAML (scripts/bootstrap installs python3-yaml)")
    sys.exit(77)

DOCKER = Path(__file__).resolve().parents[2] / "docker"


class Optional:
    """A field that may be absent."""

    def __init__(self, shape):
        self.shape = shape


# Shapes: a type, a value, a set of values, [shape of every element], {field: shape} without any other field, or a function.
def quantity(value):
    return isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?(m|Ki|Mi|Gi|Ti)?", value)


def name(value):
    return isinstance(value, str) and re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", value)


def path(value):
    return isinstance(value, str) and value.startswith("/")


def image(value):
    return isinstance(value, str) and re.fullmatch(r"[a-z0-9./-]+(:[0-9]+/[a-z0-9/-]+)?:[A-Za-z0-9._-]+", value) and not value.endswith(":latest")


RESOURCES = {"requests": {"cpu": quantity, "memory": quantity}, "limits": {"cpu": quantity, "memory": quantity}}
VARIABLE = {"name": re.compile(r"[A-Z_][A-Z0-9_]*").fullmatch, "value": Optional(str), "valueFrom": Optional({
    "secretKeyRef": Optional({"name": name, "key": str}), "fieldRef": Optional({"fieldPath": str})})}
MOUNT = {"name": name, "mountPath": path, "readOnly": Optional(bool)}
VOLUME = {"name": name, "emptyDir": Optional({"medium": Optional("Memory"), "sizeLimit": Optional(quantity)}),
          "persistentVolumeClaim": Optional({"claimName": name, "readOnly": Optional(bool)})}
CONTAINER = {"name": name, "image": image, "command": Optional([str]), "args": Optional([str]), "env": Optional([VARIABLE]),
             "resources": Optional(RESOURCES), "volumeMounts": [MOUNT],
             "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}}
POD = {"terminationGracePeriodSeconds": 120, "restartPolicy": Optional({"Never", "OnFailure"}), "subdomain": Optional(name),
       "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000,
                           "seccompProfile": {"type": "RuntimeDefault"}},
       "containers": [CONTAINER], "volumes": [VOLUME]}
REPLICA = {"replicas": int, "restartPolicy": Optional({"Always", "OnFailure", "Never", "ExitCode"}), "template": {"spec": POD}}
RUN_POLICY = {"cleanPodPolicy": {"None", "Running", "All"}, "backoffLimit": int}
META = {"name": name, "labels": Optional(dict), "namespace": Optional(name)}
SHAPES = {
    ("kubeflow.org/v1", "PyTorchJob"): {
        "spec": {"nprocPerNode": str, "runPolicy": RUN_POLICY, "pytorchReplicaSpecs": {"Master": REPLICA, "Worker": REPLICA}}},
    ("kubeflow.org/v2beta1", "MPIJob"): {
        "spec": {"slotsPerWorker": int, "sshAuthMountPath": path, "mpiImplementation": {"OpenMPI", "Intel", "MPICH"},
                 "runPolicy": RUN_POLICY, "mpiReplicaSpecs": {"Launcher": REPLICA, "Worker": REPLICA}}},
    ("trainer.kubeflow.org/v1alpha1", "ClusterTrainingRuntime"): {
        "spec": {"mlPolicy": {"numNodes": int, "torch": {"numProcPerNode": int}},
                 "template": {"spec": {"replicatedJobs": [{
                     "name": name, "template": {"metadata": {"labels": dict}, "spec": {"template": {"spec": POD}}}}]}}}},
    ("trainer.kubeflow.org/v1alpha1", "TrainJob"): {
        "spec": {"runtimeRef": {"name": name, "kind": {"ClusterTrainingRuntime", "TrainingRuntime"}},
                 "trainer": {"image": image, "command": Optional([str]), "args": [str], "numNodes": int, "numProcPerNode": int,
                             "resourcesPerNode": RESOURCES}}},
    ("v1", "Service"): {"spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": {"job-name": name}}},
    ("batch/v1", "Job"): {
        "spec": {"completionMode": "Indexed", "completions": int, "parallelism": int, "backoffLimit": int,
                 "podFailurePolicy": {"rules": [{
                     "action": {"Ignore", "Count", "FailJob", "FailIndex"},
                     "onPodConditions": Optional([{"type": str, "status": {"True", "False"}}]),
                     "onExitCodes": Optional({"containerName": name, "operator": {"In", "NotIn"}, "values": [int]})}]},
                 "template": {"spec": POD}}},
}
COMPOSE_SERVICE = {
    "image": str, "command": [str], "volumes": [str], "networks": ["job"], "read_only": True, "tmpfs": ["/tmp"], "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"], "shm_size": str, "stop_signal": "SIGTERM", "stop_grace_period": "120s",
    "init": False, "hostname": name, "environment": dict}


def complaints(value, shape, where=""):
    """What in `value` is not of `shape`, one line each."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{where}: a map is expected, not {value!r}"]
        found = [f"{where}.{key}: unknown" for key in value if key not in shape]
        for key, inner in shape.items():
            optional = isinstance(inner, Optional)
            if key in value:
                found += complaints(value[key], inner.shape if optional else inner, f"{where}.{key}")
            elif not optional:
                found.append(f"{where}.{key}: missing")
        return found
    if isinstance(shape, list):
        if not isinstance(value, list) or not value:
            return [f"{where}: a list is expected, not {value!r}"]
        return [line for index, item in enumerate(value) for line in complaints(item, shape[0], f"{where}[{index}]")]
    if isinstance(shape, set):
        good = value in shape
    elif isinstance(shape, type):
        good = type(value) is shape
    elif callable(shape):
        good = bool(shape(value))
    else:
        good = value == shape and type(value) is type(shape)
    return [] if good else [f"{where}: {value!r} is not allowed"]


def documents(file):
    return list(yaml.safe_load_all((DOCKER / file).read_text()))


def pods(value):
    """Every pod in a manifest."""
    if isinstance(value, dict):
        if "containers" in value:
            yield value
        for inner in value.values():
            yield from pods(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from pods(inner)


class Kubernetes(unittest.TestCase):
    FILES = ("pytorchjob", "trainjob", "mpijob", "indexed-job")

    def all_documents(self):
        for file in self.FILES:
            for document in documents(f"kubernetes/{file}.yaml"):
                yield f"{file}: {document['kind']}", document

    def test_no_manifest_has_an_unknown_field_or_lacks_one(self):
        for where, document in self.all_documents():
            shape = {"apiVersion": str, "kind": str, "metadata": META, **SHAPES[document["apiVersion"], document["kind"]]}
            self.assertEqual(complaints(document, shape, where), [])

    def test_every_mount_has_its_volume_and_every_container_memory_to_share_and_a_place_for_temporary_files(self):
        for where, document in self.all_documents():
            for pod in pods(document):
                volumes = {volume["name"]: volume for volume in pod["volumes"]}
                for container in pod["containers"]:
                    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
                    self.assertLessEqual(set(mounts.values()), set(volumes), where)
                    self.assertIn("/tmp", mounts, where)
                    if container["name"] == "launcher":
                        continue  # mpirun alone
                    self.assertEqual(volumes[mounts["/dev/shm"]]["emptyDir"]["medium"], "Memory", where)
                    self.assertIn("persistentVolumeClaim", volumes[mounts["/checkpoints"]], where)

    def test_arguments_name_folders_that_are_mounted(self):
        for where, document in self.all_documents():
            for pod in pods(document):
                mounted = {mount["mountPath"] for container in pod["containers"] for mount in container["volumeMounts"]}
                for container in pod["containers"]:
                    for argument in container.get("args", []):
                        if argument.startswith("--") and "=/" in argument and container["name"] != "launcher":
                            folder = argument.split("=", 1)[1]
                            self.assertTrue(any((folder + "/").startswith(mount + "/") for mount in mounted), f"{where}: {argument}")

    def test_the_numbers_of_ranks_agree(self):
        mpi = documents("kubernetes/mpijob.yaml")[0]["spec"]
        arguments = mpi["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]["containers"][0]["args"]
        self.assertEqual(int(arguments[arguments.index("-np") + 1]), mpi["slotsPerWorker"] * mpi["mpiReplicaSpecs"]["Worker"]["replicas"])
        service, job = documents("kubernetes/indexed-job.yaml")
        spec = job["spec"]
        variables = {variable["name"]: variable.get("value") for variable in spec["template"]["spec"]["containers"][0]["env"]}
        self.assertEqual(int(variables["PET_NNODES"]), spec["completions"])
        self.assertEqual(spec["completions"], spec["parallelism"])
        self.assertEqual(variables["PET_MASTER_ADDR"], f"{job['metadata']['name']}-0.{service['metadata']['name']}")
        self.assertEqual(spec["template"]["spec"]["subdomain"], service["metadata"]["name"])

    def test_shapes_refuse_what_they_do_not_know(self):
        job = documents("kubernetes/pytorchjob.yaml")[0]
        job["spec"]["nprocsPerNode"] = "4"
        del job["spec"]["runPolicy"]["backoffLimit"]
        job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = False
        found = complaints(job["spec"], SHAPES["kubeflow.org/v1", "PyTorchJob"]["spec"], "spec")
        self.assertIn("spec.nprocsPerNode: unknown", found)
        self.assertIn("spec.runPolicy.backoffLimit: missing", found)
        self.assertTrue(any("readOnlyRootFilesystem" in line for line in found), found)


class Compose(unittest.TestCase):
    def test_four_ranks_in_two_containers(self):
        file = documents("compose.yml")[0]
        self.assertEqual(complaints(file, {"x-node": dict, "services": dict, "networks": {"job": {"internal": True}}, "volumes": dict}), [])
        ranks = 0
        for index, (host, service) in enumerate(file["services"].items()):
            self.assertEqual(complaints(service, COMPOSE_SERVICE, host), [])
            variables = service["environment"]
            self.assertEqual((host, service["hostname"]), (f"node-{index}",) * 2)
            self.assertEqual((variables["PET_NODE_RANK"], variables["PET_NNODES"]), (str(index), str(len(file["services"]))))
            self.assertEqual(variables["PET_MASTER_ADDR"], "node-0")
            ranks += int(variables["PET_NPROC_PER_NODE"])
        self.assertEqual(ranks, 4)

    def test_the_key_of_the_job_comes_from_the_environment_of_who_starts_it(self):
        for service in documents("compose.yml")[0]["services"].values():
            self.assertRegex(service["environment"]["TRIREME_JOB_KEY"], r"^\$\{TRIREME_JOB_KEY:\?.*\}$")


class Files(unittest.TestCase):
    def test_no_file_of_docker_holds_a_secret(self):
        for file in DOCKER.rglob("*"):
            if file.is_file():
                self.assertNotRegex(file.read_text(), r"BEGIN [A-Z ]*PRIVATE KEY|\b(AKIA|ASIA)[A-Z0-9]{16}\b|\b[0-9a-f]{64}\b", file)

    def test_every_dockerfile_starts_the_program_without_a_shell_and_names_no_user(self):
        for file in ("cpu.Dockerfile", "cuda.Dockerfile"):
            lines = (DOCKER / file).read_text().splitlines()
            self.assertIn('ENTRYPOINT ["/usr/local/bin/trireme", "entry"]', lines)
            self.assertIn('CMD ["train"]', lines)
        for file in DOCKER.glob("*.Dockerfile"):
            self.assertNotRegex(file.read_text(), r"(?m)^USER\b", file)


if __name__ == "__main__":
    unittest.main()
