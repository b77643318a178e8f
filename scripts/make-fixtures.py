#!/usr/bin/env python3
"""Writes the parity fixtures of tests/data from PyTorch and nnU-Net's own network classes.

usage: make-fixtures.py tests/data

  nnunet_plain.*, nnunet_residual.*   a small network each: config (.json), state dict with aliases in float32
                                      (.weights.safetensors), and in float64 (.vectors.safetensors): input, output.i, the gradients
                                      grad.input and grad.NAME of sum_i sum(output.i * direction.i), and direction.i
  nnunet_*.keys.json                  the state dict's keys in its order
  conv_padding.*      convolutions with padding_mode reflect and replicate: geometry and torch's version (.json), and in float64
                      (.safetensors) of layer i: i.weight, i.bias, i.input, i.output, i.direction and the gradients grad.i.NAME of
                      sum(output * direction)
  ten_steps.json                      losses and gradient norms of ten training steps; weights, images and labels come from the
                                      generator G of the specification, so they need no file
"""
import json
import os
import sys

import numpy as np
import torch
import torch.nn as nn
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from importlib.metadata import version
from safetensors.torch import save_file

SHORT = {
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "norm_op_kwargs": {"eps": 1e-5, "affine": True},
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}
CLASSES = {"PlainConvUNet": PlainConvUNet, "ResidualEncoderUNet": ResidualEncoderUNet}


def config(name, channels, classes, **kwargs):
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet." + name,
        "arch_kwargs": {"n_stages": len(kwargs["features_per_stage"]), **kwargs, **SHORT},
        "in_channels": channels,
        "num_classes": classes,
        "deep_supervision": True,
    }


def build(c):
    kwargs = dict(c["arch_kwargs"], conv_op=nn.Conv3d, norm_op=nn.InstanceNorm3d, nonlin=nn.LeakyReLU)
    network = CLASSES[c["network_class_name"].rsplit(".", 1)[1]]
    return network(c["in_channels"], num_classes=c["num_classes"], deep_supervision=c["deep_supervision"], **kwargs)


def generator(name, n):
    """G(name, n): deterministic numbers in [-1/2, 1/2)."""
    s = 2166136261
    for byte in name.encode():
        s = (s ^ byte) * 16777619 % 2**32
    u = (s + 2654435761 * np.arange(1, n + 1, dtype=np.uint64)) % 2**32
    u ^= u >> 16
    u = u * 0x85EBCA6B % 2**32
    u ^= u >> 13
    u = u * 0xC2B2AE35 % 2**32
    u ^= u >> 16
    return torch.from_numpy(u / 2**32 - 0.5)


def fill(net):
    """The filling rule of the golden rows: the first key that names a storage counts."""
    seen = set()
    for key, p in net.state_dict(keep_vars=True).items():
        if p.data_ptr() in seen:
            continue
        seen.add(p.data_ptr())
        g = generator(key, p.numel()).reshape(p.shape)
        if p.dim() > 1:
            g = 2 * g * (3 / (p.numel() / p.shape[0])) ** 0.5
        else:
            g = 0.2 * g if key.endswith("bias") else 1 + 0.4 * g
        p.data.copy_(g)


def write_json(path, content):
    with open(path, "w") as f:
        json.dump(content, f, indent=1)
        f.write("\n")


def write_vectors(folder, name, c, shape):
    torch.manual_seed(7)
    net = build(c)
    for p in net.parameters():
        p.data = torch.randn_like(p) * (0.3 if p.dim() == 1 else (2 / p[0].numel()) ** 0.5)
    write_json(os.path.join(folder, name + ".json"), c)
    write_json(os.path.join(folder, name + ".keys.json"), list(net.state_dict()))
    state = {k: v.contiguous().clone() for k, v in net.state_dict().items()}
    save_file(state, os.path.join(folder, name + ".weights.safetensors"))

    net = net.double()
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    out = net(x)
    vectors = {"input": x.detach()}
    objective = 0
    for i, y in enumerate(out):
        direction = torch.randn_like(y)
        objective = objective + (y * direction).sum()
        vectors[f"output.{i}"] = y.detach()
        vectors[f"direction.{i}"] = direction
    objective.backward()
    vectors["grad.input"] = x.grad
    for key, p in net.named_parameters():
        vectors["grad." + key] = p.grad
    vectors = {k: v.contiguous().clone() for k, v in vectors.items()}
    save_file(vectors, os.path.join(folder, name + ".vectors.safetensors"))


def write_padding(folder):
    """Small layers with every kind of padding that mirrors or repeats; the third is an end of LaMa, a plane."""
    layers = [
        {"mode": "reflect", "in": 2, "out": 3, "size": [4, 5, 6], "kernel": [3, 3, 3], "stride": [1, 1, 1], "pad": [1, 1, 1],
         "dilation": [1, 1, 1], "groups": 1},
        {"mode": "replicate", "in": 3, "out": 4, "size": [5, 6, 7], "kernel": [3, 3, 3], "stride": [2, 2, 2],
         "pad": [1, 1, 1], "dilation": [1, 1, 1], "groups": 1},
        {"mode": "reflect", "in": 3, "out": 2, "size": [1, 8, 9], "kernel": [1, 7, 7], "stride": [1, 1, 1], "pad": [0, 3, 3],
         "dilation": [1, 1, 1], "groups": 1},
        {"mode": "reflect", "in": 4, "out": 6, "size": [3, 6, 7], "kernel": [3, 3, 3], "stride": [1, 1, 2], "pad": [2, 2, 2],
         "dilation": [2, 2, 2], "groups": 2},
        {"mode": "replicate", "in": 2, "out": 2, "size": [2, 3, 4], "kernel": [3, 1, 4], "stride": [1, 1, 2],
         "pad": [3, 0, 2], "dilation": [1, 1, 1], "groups": 2},
    ]
    torch.manual_seed(11)
    vectors = {}
    for i, l in enumerate(layers):
        m = nn.Conv3d(l["in"], l["out"], l["kernel"], l["stride"], l["pad"], l["dilation"], l["groups"],
                      padding_mode=l["mode"]).double()
        x = torch.randn([2, l["in"], *l["size"]], dtype=torch.float64, requires_grad=True)
        y = m(x)
        direction = torch.randn_like(y)
        (y * direction).sum().backward()
        vectors |= {f"{i}.weight": m.weight, f"{i}.bias": m.bias, f"{i}.input": x, f"{i}.output": y,
                    f"{i}.direction": direction, f"grad.{i}.weight": m.weight.grad, f"grad.{i}.bias": m.bias.grad,
                    f"grad.{i}.input": x.grad}
    write_json(os.path.join(folder, "conv_padding.json"), {"torch": version("torch"), "layers": layers})
    vectors = {k: v.detach().contiguous().clone() for k, v in vectors.items()}
    save_file(vectors, os.path.join(folder, "conv_padding.safetensors"))


def dice_ce(logits, target):
    """nnU-Net's loss: cross entropy plus the negative soft Dice of the foreground classes, per sample."""
    p = logits.softmax(1)
    onehot = torch.zeros_like(p).scatter_(1, target, 1)
    axes = (2, 3, 4)
    overlap = (p * onehot)[:, 1:].sum(axes)
    total = p[:, 1:].sum(axes) + onehot[:, 1:].sum(axes)
    dice = (2 * overlap + 1e-5) / (total + 1e-5).clamp_min(1e-8)
    return nn.functional.cross_entropy(logits, target[:, 0]) - dice.mean()


def train_steps(c, patch, real, steps, clip=12):
    net = build(c).to(real)
    fill(net)
    optimiser = torch.optim.SGD(net.parameters(), 0.01, momentum=0.99, weight_decay=3e-5, nesterov=True)
    n = patch**3
    losses, norms = [], []
    for step in range(steps):
        x = (4 * generator(f"image{step}", 2 * c["in_channels"] * n)).reshape(2, -1, patch, patch, patch).to(real)
        y = (c["num_classes"] * (generator(f"label{step}", 2 * n) + 0.5)).floor().reshape(2, 1, patch, patch, patch)
        out = net(x)
        weight = np.array([0.5**i for i in range(len(out))])
        weight[-1] = 0
        weight /= weight.sum()
        loss = 0
        for w, logits in zip(weight, out):
            target = nn.functional.interpolate(y, size=logits.shape[2:], mode="nearest-exact").long()
            if w:
                loss = loss + w * dice_ce(logits, target)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(net.parameters(), clip).item())
        optimiser.step()
        losses.append(loss.item())
    return {"losses": losses, "norms": norms}


def main(folder):
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(2)
    plain = config("PlainConvUNet", 2, 3, features_per_stage=[4, 6, 8], kernel_sizes=[[1, 3, 3], [3, 3, 3], [3, 3, 3]],
                   strides=[[1, 1, 1], [1, 2, 2], [2, 2, 2]], n_conv_per_stage=[2, 1, 2], n_conv_per_stage_decoder=[2, 1])
    residual = config("ResidualEncoderUNet", 3, 2, features_per_stage=[4, 6, 6], kernel_sizes=3, strides=[1, 2, 2],
                      n_blocks_per_stage=[1, 2, 1], n_conv_per_stage_decoder=1)
    write_vectors(folder, "nnunet_plain", plain, (2, 2, 6, 12, 16))
    write_vectors(folder, "nnunet_residual", residual, (1, 3, 8, 8, 12))
    write_padding(folder)

    train = config("PlainConvUNet", 2, 3, features_per_stage=[8, 16, 32, 32], kernel_sizes=3, strides=[1, 2, 2, 2],
                   n_conv_per_stage=2, n_conv_per_stage_decoder=2)
    write_json(os.path.join(folder, "ten_steps.json"), {
        "versions": {k: version(k) for k in ("torch", "numpy", "dynamic-network-architectures")},
        "patch": 24,
        "float32": train_steps(train, 24, torch.float32, 10),
        "float64": train_steps(train, 24, torch.float64, 10),
        "float64_clip_0.2": train_steps(train, 24, torch.float64, 10, clip=0.2),
    })
    write_json(os.path.join(folder, "ten_steps.net.json"), train)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
