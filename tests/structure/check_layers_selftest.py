# SPDX-License-Identifier: Apache-2.0
"""scripts/check_layers accepts a sound tree and refuses one with a single broken rule, naming file and line."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "check_layers"

SOUND = {
    "include/trireme/base/error.hpp": "#pragma once\n#include <string>\n",
    "include/trireme/net/socket.hpp": '#pragma once\n#include "trireme/base/error.hpp"\n',
    "include/trireme/layout/interval.hpp": "#pragma once\n",
    "include/trireme/plan/graph.hpp": '#pragma once\n#include "trireme/layout/interval.hpp"\n',
    "include/trireme/comm/communicator.hpp": '#pragma once\n#include "trireme/base/error.hpp"\n',
    "include/trireme/interop/mpi.hpp": '#pragma once\n#include <mpi.h>\n#include "trireme/comm/communicator.hpp"\n',
    "include/trireme/trireme.hpp": '#pragma once\n#include "trireme/comm/communicator.hpp"\n',
    "src/transport/link.hpp": '#pragma once\n#include "trireme/net/socket.hpp"\n',
    "src/transport/tcp/link.cpp": '#include "transport/link.hpp"\n#include <sys/socket.h>\n',
    "src/comm/executor.cpp": '#include "transport/link.hpp"\n#include "kernels/reduce/reduce.hpp"\n',
    "src/engines/mpi/engine.cpp": '#include <mpi.h>\n#include "trireme/comm/communicator.hpp"\n',
    "src/cli/main.cpp": '#include <CLI/CLI.hpp>\n#include "trireme/trireme.hpp"\n',
    "kernels/reduce/reduce.hpp": '#pragma once\n#include "trireme/base/error.hpp"\n',
    "bench/reduce_bench.cpp": '#include "kernels/reduce/reduce.hpp"\n#include <benchmark/benchmark.h>\n',
    "examples/01_hello/main.cpp": "#include <trireme/trireme.hpp>\n",
}


def run_on(changes):
    """Writes SOUND with `changes` into a temporary folder and runs the script on it: (exit status, output)."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**SOUND, **changes}.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        done = subprocess.run([sys.executable, SCRIPT, "--root", folder], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr


class CheckLayers(unittest.TestCase):
    def refuses(self, changes, *words):
        status, output = run_on(changes)
        self.assertEqual(status, 1, output)
        complaints = [line for line in output.splitlines() if not line.startswith("check_layers:")]
        self.assertEqual(len(complaints), 1, output)
        for word in words:
            self.assertIn(word, complaints[0])

    def test_accepts_a_sound_tree(self):
        self.assertEqual(run_on({})[0], 0, run_on({})[1])

    def test_refuses_an_upward_include(self):
        self.refuses({"src/plan/ring.cpp": '// shape\n\n#include "trireme/comm/communicator.hpp"\n'},
                     "src/plan/ring.cpp:3:", "plan (floor 3)", "comm (floor 4)", "upward")

    def test_refuses_an_upward_include_of_a_file_that_is_made_later(self):
        self.refuses({"src/base/log.cpp": '#include "trireme/world/version.hpp"\n'}, "src/base/log.cpp:1:", "upward")

    def test_refuses_a_sideways_include(self):
        self.refuses({"src/plan/ring.cpp": '#include "transport/link.hpp"\n'},
                     "src/plan/ring.cpp:1:", "plan (floor 3)", "transport (floor 3)", "sideways")

    def test_refuses_a_sideways_include_between_engines(self):
        self.refuses({"src/engines/mpi/engine.hpp": "#pragma once\n",
                      "src/engines/nccl/engine.cpp": '#include "engines/mpi/engine.hpp"\n'},
                     "src/engines/nccl/engine.cpp:1:", "sideways")

    def test_refuses_a_sideways_include_through_a_relative_path(self):
        self.refuses({"src/plan/ring.cpp": '#include "../transport/link.hpp"\n'}, "src/plan/ring.cpp:1:", "sideways")

    def test_refuses_the_umbrella_in_the_library(self):
        self.refuses({"src/comm/group.cpp": "#include <trireme/trireme.hpp>\n"}, "src/comm/group.cpp:1:", "umbrella")

    def test_refuses_a_private_header_in_a_public_one(self):
        self.refuses({"include/trireme/comm/link.hpp": '#pragma once\n#include "transport/link.hpp"\n'},
                     "include/trireme/comm/link.hpp:2:", "private header")

    def test_refuses_a_private_header_in_an_example(self):
        self.refuses({"examples/02_x/main.cpp": '#include "transport/link.hpp"\n'}, "examples/02_x/main.cpp:1:", "private")

    def test_refuses_foreign_headers_in_public_ones(self):
        for name in ("mpi.h", "nccl.h", "cuda_runtime.h", "Eigen/Core", "openssl/evp.h", "CLI/CLI.hpp",
                     "nlohmann/json.hpp", "spdlog/spdlog.h"):
            with self.subTest(name):
                self.refuses({"include/trireme/comm/x.hpp": f"#pragma once\n#include <{name}>\n"},
                             "include/trireme/comm/x.hpp:2:", "foreign", name)

    def test_refuses_a_header_without_pragma_once(self):
        self.refuses({"src/comm/x.hpp": "// #pragma once\nint x();\n"}, "src/comm/x.hpp:1:", "#pragma once")

    def test_refuses_a_circle_of_files_within_a_room(self):
        self.refuses({"src/comm/a.hpp": '#pragma once\n#include "comm/b.hpp"\n',
                      "src/comm/b.hpp": '#pragma once\n#include "a.hpp"\n'},
                     "circle", "src/comm/a.hpp -> src/comm/b.hpp -> src/comm/a.hpp")

    def test_refuses_a_room_without_a_floor(self):
        self.refuses({"src/attic/box.cpp": "int box;\n"}, "src/attic/box.cpp:1:", "no known room")

    def test_does_not_read_comments(self):
        status, output = run_on({"src/plan/ring.cpp": '// see a/*b\n/*\n#include "transport/link.hpp"\n*/\n'})
        self.assertEqual(status, 0, output)

    def test_fails_where_there_is_nothing_to_read(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertNotEqual(subprocess.run([sys.executable, SCRIPT, "--root", folder], capture_output=True).returncode, 0)


if __name__ == "__main__":
    unittest.main()
