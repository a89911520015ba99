#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Opens files with the safetensors package, as numpy and as torch tensors, and compares names, types, shapes and bytes.

usage: open_safetensors.py FILE…
Prints "opened … tensors, … of them bf16". Exit code 77: safetensors, numpy or torch is missing.
"""

import json
import struct
import sys

try:
    import numpy
    import torch
    from safetensors import safe_open
except ImportError as missing:
    print(missing, file=sys.stderr)
    sys.exit(77)

DTYPES = {
    "F64": ("float64", torch.float64),
    "F32": ("float32", torch.float32),
    "F16": ("float16", torch.float16),
    "BF16": (None, torch.bfloat16),  # numpy has none
    "U8": ("uint8", torch.uint8),
}


def expected(path):
    """Name to type, shape and bytes, by the format's description alone."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    return {
        name: (entry["dtype"], entry["shape"], data[8 + length :][slice(*entry["data_offsets"])])
        for name, entry in header.items()
    }


def compare(path, framework):
    tensors = expected(path)
    with safe_open(path, framework) as file:
        assert sorted(file.keys()) == sorted(tensors), path
        for name, (dtype, shape, data) in tensors.items():
            as_numpy, as_torch = DTYPES[dtype]
            if framework == "np":
                if as_numpy is None:
                    continue
                tensor = file.get_tensor(name)
                assert tensor.dtype == numpy.dtype(as_numpy) and tensor.tobytes() == data, name
            else:
                tensor = file.get_tensor(name)
                bits = tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
                assert tensor.dtype == as_torch and bits == data, name
            assert list(tensor.shape) == shape, name
    return [dtype for dtype, _, _ in tensors.values()]


def main():
    dtypes = []
    for path in sys.argv[1:]:
        compare(path, "np")
        dtypes += compare(path, "pt")
    print(f"opened {len(dtypes)} tensors, {dtypes.count('BF16')} of them bf16")


if __name__ == "__main__":
    main()
