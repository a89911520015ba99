# SPDX-License-Identifier: Apache-2.0
"""A job that moves between clouds by its checkpoint folder, each time with another number of ranks."""
import shutil

from laboratory import PROGRAM, TRAINING, Scenario, flags
from platforms import SageMaker, Vertex, slurm_step


class Moves(Scenario):
    def test_from_sagemaker_on_2_to_vertex_on_4_to_slurm_on_1(self):
        expected = self.lab.undisturbed(TRAINING)
        bucket = self.folder / "bucket"
        ended = SageMaker(self, 2, {**TRAINING, "stop-after": "20"}, bucket=bucket).start().wait()
        self.assertEqual([host.code for host in ended], [143, 143], ended)

        job = Vertex(self, 2, {**TRAINING, "stop-after": "25"}, procs=2)
        shutil.copytree(bucket, job.bucket / "run" / "checkpoints")
        ended = job.start().wait()
        self.assertEqual([host.code for host in ended], [143, 143], ended)

        checkpoints = self.folder / "scratch"
        shutil.copytree(job.bucket / "run" / "checkpoints", checkpoints)
        ended = self.engine.run("tank", self.lab.image,
                                ["train", "--data-dir=/data", "--checkpoint-dir=/scratch", *flags(TRAINING)],
                                environment=slurm_step(0, 1, "tank"), options=["--entrypoint", PROGRAM],
                                volumes={"/data": f"{self.lab.data}:ro", "/scratch": checkpoints}, network="job")
        self.same_weights(self.ends_well(ended), expected)
