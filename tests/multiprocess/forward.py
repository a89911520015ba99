#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Computes what an exported model is worth on a test set, from config.json and model.safetensors alone.

Of Trireme it knows nothing but those two files: the passes below are written from what config.json says, with numpy.

usage: forward.py MODEL_DIR TEST_SET
TEST_SET is the folder of a set of IDX images, a text file, a CSV file whose last column is the label, or
a LibSVM file (".libsvm").
Prints "loss=… accuracy=… samples=…", accuracy of classifiers alone. Exit code 77: numpy or safetensors is missing.
"""

import gzip
import json
import math
import os
import struct
import sys

try:
    import numpy as np
    from safetensors.numpy import load_file
except ImportError as missing:
    print(missing, file=sys.stderr)
    sys.exit(77)


def read_tensors(path, dtype):
    """All tensors as f32. numpy has no bf16: its 16 bits are the upper ones of an f32."""
    if dtype != "bf16":
        return {name: tensor.astype(np.float32) for name, tensor in load_file(path).items()}
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        if entry["dtype"] == "BF16":
            wide = np.frombuffer(data[begin:end], np.uint16).astype(np.uint32) << 16
            tensors[name] = wide.view(np.float32).reshape(entry["shape"])
        else:
            tensors[name] = np.frombuffer(data[begin:end], {"F32": np.float32}[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def read_idx(folder, name):
    for path in (os.path.join(folder, name), os.path.join(folder, name + ".gz")):
        if os.path.exists(path):
            with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
                data = file.read()
            rank = data[3]
            shape = struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])
            return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)
    sys.exit(f"forward.py: {folder} has no {name}")


def relu(x):
    return np.maximum(x, 0)


def gelu_tanh(x):
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS = {"relu": relu, "gelu_tanh": gelu_tanh}


def dense(x, tensors, name, layout=None):
    weight = tensors[name + ".weight"]
    return x @ (weight if layout == "[inputs, outputs]" else weight.T) + tensors[name + ".bias"]


def convolve(x, weight, stride, padding):
    """x is images, height, width, channels; weight outputs, rows, columns, inputs."""
    outputs, kernel, _, _ = weight.shape
    _, height, width, _ = x.shape
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows = (height + 2 * padding - kernel) // stride + 1
    columns = (width + 2 * padding - kernel) // stride + 1
    windows = [
        padded[:, u : u + stride * (rows - 1) + 1 : stride, v : v + stride * (columns - 1) + 1 : stride, :]
        for u in range(kernel)
        for v in range(kernel)
    ]
    return np.concatenate(windows, axis=3) @ weight.reshape(outputs, -1).T


def max_pool(x, size):
    images, height, width, channels = x.shape
    x = x[:, : height // size * size, : width // size * size]
    return x.reshape(images, height // size, size, width // size, size, channels).max(axis=(2, 4))


def mlp(x, config, tensors):
    shape = config["architecture"]
    activation = ACTIVATIONS[shape["activation"]["name"]]
    layers = len(shape["sizes"]) - 1
    for n in range(layers):
        layout = config["layout"].get(f"layer{n}", config["layout"]["dense"])["shape"]
        x = dense(x, tensors, f"layer{n}", layout)
        if n + 1 < layers:
            x = activation(x)
    return x


def cnn(x, config, tensors):
    shape = config["architecture"]
    activation = ACTIVATIONS[shape["activation"]["name"]]
    for n in range(len(shape["convolutions"])):
        step = shape["convolution"]
        x = convolve(x, tensors[f"conv{n}.weight"], step["stride"], step["padding"]) + tensors[f"conv{n}.bias"]
        x = max_pool(activation(x), shape["pooling"]["size"])
    x = x.reshape(len(x), -1)
    for n in range(len(shape["dense"])):
        x = dense(x, tensors, f"dense{n}")
        if n + 1 < len(shape["dense"]):
            x = activation(x)
    return x


def resnet(x, config, tensors):
    shape = config["architecture"]
    activation = ACTIVATIONS[shape["activation"]["name"]]
    epsilon = shape["norm"]["epsilon"]

    def norm(x, name):
        scale = tensors[name + ".gain"] / np.sqrt(tensors[name + ".running_variance"].astype(np.float64) + epsilon)
        return ((x - tensors[name + ".running_mean"]) * scale + tensors[name + ".shift"]).astype(np.float32)

    def convolution(x, name, step):
        return convolve(x, tensors[name + ".weight"], step["stride"], step["padding"])

    plain, later = shape["convolution"], shape["first_of_later_stages"]
    x = activation(norm(convolution(x, "stem.conv", plain), "stem.norm"))
    for stage in range(len(shape["stages"])):
        for block in range(shape["blocks"]):
            name = f"stage{stage}.block{block}"
            first = later["conv0"] if stage > 0 and block == 0 else plain
            beside = x
            if name + ".shortcut.conv.weight" in tensors:
                beside = norm(convolution(x, name + ".shortcut.conv", later["shortcut.conv"]), name + ".shortcut.norm")
            y = activation(norm(convolution(x, name + ".conv0", first), name + ".norm0"))
            y = norm(convolution(y, name + ".conv1", plain), name + ".norm1")
            x = activation(y + beside)
    return dense(x.mean(axis=(1, 2)), tensors, "head")


def gpt(tokens, config, tensors):
    """The logits behind every token of windows."""
    shape = config["architecture"]
    activation = ACTIVATIONS[shape["activation"]["name"]]
    rows, length = tokens.shape
    heads, channels = shape["heads"], shape["channels"]

    def norm(x, name):
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        return centred / np.sqrt(variance + shape["norm"]["epsilon"]) * tensors[name + ".weight"] + tensors[name + ".bias"]

    def split(x):
        return x.reshape(rows, length, heads, channels // heads).transpose(0, 2, 1, 3)

    x = tensors["token_embedding.weight"][tokens] + tensors["position_embedding.weight"][:length]
    past = np.tril(np.ones((length, length), bool))
    for n in range(shape["blocks"]):
        block = f"block{n}"
        q, k, v = np.split(dense(norm(x, block + ".norm1"), tensors, block + ".attention.qkv"), 3, axis=-1)
        scores = split(q) @ split(k).transpose(0, 1, 3, 2) / math.sqrt(channels / heads)
        scores = np.where(past, scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        attended = weights / weights.sum(axis=-1, keepdims=True) @ split(v)
        attended = attended.transpose(0, 2, 1, 3).reshape(rows, length, channels)
        x = x + dense(attended.astype(np.float32), tensors, block + ".attention.projection")
        inside = activation(dense(norm(x, block + ".norm2"), tensors, block + ".mlp.expand"))
        x = x + dense(inside.astype(np.float32), tensors, block + ".mlp.contract")
    return norm(x, "final_norm") @ tensors[shape["head"]].T


MODELS = {"mlp": mlp, "linear": mlp, "logistic": mlp, "cnn": cnn, "resnet": resnet}


def image_samples(source, config):
    """Features as the model takes them, and classes."""
    how = config["input"]
    images = read_idx(source, "t10k-images-idx3-ubyte")
    assert images.shape[1:] == (how["height"], how["width"])
    f32 = np.float32
    x = (images.astype(f32) / f32(how["divide_by"]) - f32(how["mean"])) / f32(how["deviation"])
    x = x.reshape(len(x), -1) if config["model"] == "mlp" else x[..., None]
    return x, np.searchsorted(config["output"]["classes"], read_idx(source, "t10k-labels-idx1-ubyte"))


def sparse_table(source, features):
    """LibSVM's format, features counted from 1; those beyond `features` are left out."""
    x, labels = [], []
    with open(source, encoding="utf-8") as file:
        for line in file:
            label, *entries = line.split()
            row = np.zeros(features)
            for entry in entries:
                feature, value = entry.split(":")
                if int(feature) <= features:
                    row[int(feature) - 1] = np.float32(value)
            x.append(row)
            labels.append(label)
    return np.array(x), np.array(labels, np.float32)


def dense_table(source):
    with open(source, encoding="utf-8") as file:
        has_names = any(letter.isalpha() for letter in file.readline().replace("e", "").replace("E", ""))
    table = np.loadtxt(source, np.float32, delimiter=",", skiprows=1 if has_names else 0, ndmin=2)
    return table[:, :-1].astype(np.float64), table[:, -1]


def table_samples(source, config):
    how = config["input"]
    x, labels = sparse_table(source, how["features"]) if source.endswith(".libsvm") else dense_table(source)
    if "factor" in how:
        x = x * np.array(how["factor"])
    if "mean" in how:
        x = (x - np.array(how["mean"])) * np.array(how["inverse_deviation"])
    if config["output"]["loss"] == "cross_entropy":
        labels = np.searchsorted(np.array(config["output"]["classes"], np.float32), labels)
    return x.astype(np.float32), labels


def log_sum_exp(y):
    greatest = y.max(axis=-1, keepdims=True)
    return np.log(np.exp(y - greatest).sum(axis=-1)) + greatest[..., 0]


def evaluate(source, config, tensors):
    """The sum of losses, how many were right (None where nothing is), and how many samples there are."""
    if config["model"] == "gpt":
        return evaluate_text(source, config, tensors)
    x, labels = (image_samples if config["input"]["kind"] == "image" else table_samples)(source, config)
    is_classifier = config["output"]["loss"] == "cross_entropy"
    loss, correct = 0.0, 0
    for begin in range(0, len(x), 500):
        y = MODELS[config["model"]](x[begin : begin + 500], config, tensors).astype(np.float64)
        expected = labels[begin : begin + 500]
        if is_classifier:
            loss += (log_sum_exp(y) - y[np.arange(len(y)), expected]).sum()
            correct += int((y.argmax(axis=1) == expected).sum())
        else:
            loss += ((expected - y[:, 0]) ** 2 / 2).sum()
    return loss, correct if is_classifier else None, len(x)


def evaluate_text(source, config, tensors):
    context = config["architecture"]["context"]
    tokens = np.fromfile(source, np.uint8)
    windows = (len(tokens) - 1) // context
    loss = 0.0
    for first in range(0, windows, 16):
        rows = np.stack([tokens[w * context : (w + 1) * context + 1] for w in range(first, min(first + 16, windows))])
        y = gpt(rows[:, :-1], config, tensors).astype(np.float64)
        targets = rows[:, 1:, None].astype(np.int64)
        loss += (log_sum_exp(y) - np.take_along_axis(y, targets, axis=2)[..., 0]).sum()
    return loss, None, windows * context


def main():
    folder, source = sys.argv[1:]
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    tensors = read_tensors(os.path.join(folder, "model.safetensors"), config["dtype"])
    loss, correct, samples = evaluate(source, config, tensors)
    print(f"result: loss={loss / samples:.9g}", "" if correct is None else f"accuracy={correct / samples:.4f}", f"samples={samples}")


if __name__ == "__main__":
    main()
