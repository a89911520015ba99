# SPDX-License-Identifier: Apache-2.0
"""Mounts, processes and a network of a test's own: when it ends, however it ends, what it started ends with it."""
import ctypes
import os
import subprocess
import sys

NEW_UTS, NEW_NETWORK = 0x04000000, 0x40000000


def obstacle():
    """Why there can be no such thing here; empty where there can."""
    if os.geteuid() != 0:
        return "not root"
    probe = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, text=True, check=False)
    return "" if probe.returncode == 0 else f"cannot make namespaces: {probe.stderr.strip()}"


def enclose():
    """Starts this program again with mounts and processes of its own, and returns there."""
    if os.getpid() != 1:
        sys.stdout.flush()
        os.execvp("unshare", ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", sys.executable,
                              *sys.argv])
    for folder in ("/run/netns", "/run/containers"):  # where tools keep what is theirs, whatever they are told
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)


def leave_network():
    """From here on this process and its children have a host name and a network of their own, with nothing but a loopback
    interface."""
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_NETWORK | NEW_UTS) != 0:
        raise OSError(ctypes.get_errno(), "cannot make a network namespace")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
