# SPDX-License-Identifier: Apache-2.0
"""scripts/plot draws every series of its files as a well-formed SVG, and refuses what is no file of perf by its name."""
import json
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "plot"
SVG = "{http://www.w3.org/2000/svg}"


def row(**changes):
    return {"operation": "all_reduce", "bytes": 4, "ranks": 2, "dtype": "f32", "op": "sum", "engine": "host",
            "transport": "shm", "memory": "arena", "time_us": 2.0, "busbw_GBps": 1.0, "bound_us": None, **changes}


class Plot(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.out = Path(self.folder.name) / "out.svg"

    def file(self, name, content):
        path = Path(self.folder.name) / name
        path.write_text(content if isinstance(content, str) else json.dumps({"rows": content}), encoding="utf-8")
        return str(path)

    def plot(self, *arguments):
        return subprocess.run([sys.executable, SCRIPT, "--out", self.out, *arguments], capture_output=True, text=True,
                              check=False)

    def drawn(self, *arguments):
        done = self.plot(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return ElementTree.parse(self.out).getroot()

    def of_class(self, root, name):
        return [element for element in root.iter() if element.get("class") == name]

    def test_draws_a_point_per_row_with_title_and_labels(self):
        root = self.drawn(self.file("a.json", [row(), row(bytes=1024, busbw_GBps=7.5), row(bytes=1 << 20)]))
        self.assertEqual(root.tag, SVG + "svg")
        (series,) = self.of_class(root, "series")
        points = [tuple(map(float, point.split(","))) for point in series.get("points").split()]
        self.assertEqual(len(points), 3)
        self.assertEqual(sorted(points), points)  # to the right with the size
        self.assertEqual(min(points, key=lambda point: point[1]), points[1])  # the fastest is the highest
        self.assertIn("all_reduce, 2 ranks, f32", self.of_class(root, "title")[0].text)
        self.assertEqual(self.of_class(root, "x-label")[0].text, "size")
        self.assertEqual(self.of_class(root, "y-label")[0].text, "bus bandwidth, GB/s")

    def test_names_in_the_legend_what_tells_series_apart(self):
        root = self.drawn(self.file("a.json", [row(), row(engine="mpi")]), self.file("b <&>.json", [row(bytes=8)]))
        self.assertEqual(len(self.of_class(root, "series")), 3)
        legend = [element.text for element in self.of_class(root, "legend")]
        self.assertEqual(legend[0], "a, host")
        self.assertEqual(legend[1], "a, mpi")
        self.assertIn("b <&>", legend[2])

    def test_draws_the_yardstick_where_there_is_one(self):
        name = self.file("a.json", [row(bound_us=1.0), row(bytes=8)])
        self.assertEqual(len(self.of_class(self.drawn(name), "series")), 1)
        self.assertEqual(len(self.of_class(self.drawn("--bound", name), "series")), 2)

    def test_refuses_in_one_line_what_it_cannot_draw(self):
        broken = row()
        del broken["busbw_GBps"]
        for name, words in ((self.file("n.json", "not json"), "n.json: no JSON"),
                            (self.file("r.json", "{}"), 'r.json: has no "rows"'),
                            (self.file("k.json", [broken]), 'k.json: a row has no "busbw_GBps"'),
                            (self.file("s.json", [row(bytes="4")]), "must be numbers"),
                            (self.file("e.json", []), "no rows to draw"),
                            ("/nowhere/at/all.json", "/nowhere/at/all.json: No such file")):
            done = self.plot(name)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(words, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)
        self.assertFalse(self.out.exists())


if __name__ == "__main__":
    unittest.main()
