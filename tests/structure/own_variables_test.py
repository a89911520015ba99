#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table of our own variables holds those that the sources ask for and the documentation names, and no other."""
import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "src/platform/own_variables.cpp"
NAME = re.compile(r"\bTRIREME_([A-Z][A-Z0-9_]*[A-Z0-9])\b(?!=)")


def names_of_table():
    return re.findall(r'"([A-Z0-9_]+)"sv', TABLE.read_text())


def names_in_sources():
    found = set()
    for folder in ("src", "include"):
        for path in (ROOT / folder).rglob("*.[ch]pp"):
            if path != TABLE:
                found.update(re.findall(r'"TRIREME_([A-Z][A-Z0-9_]*[A-Z0-9])[="]', path.read_text()))
    return found


class OwnVariables(unittest.TestCase):
    def test_what_the_sources_ask_for_is_in_the_table(self):
        self.assertGreater(len(names_in_sources()), 30)
        self.assertEqual(sorted(names_in_sources() - set(names_of_table())), [])

    def test_what_is_in_the_table_is_asked_for(self):
        self.assertEqual(sorted(set(names_of_table()) - names_in_sources()), [])

    def test_what_the_readme_explains_is_in_the_table(self):
        rows = re.findall(r"(?m)^\| (`TRIREME_[^|]*)\|", (ROOT / "README.md").read_text())
        explained = {name for row in rows for name in NAME.findall(row)} - {"HP"}
        self.assertGreater(len(explained), 20)
        self.assertEqual(sorted(explained - set(names_of_table())), [])


if __name__ == "__main__":
    unittest.main()
