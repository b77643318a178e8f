#!/usr/bin/env python3
"""Writes tests/data/transform: transforms by SimpleITK and what it makes of points and an image with them, for
tests/unit/align_peers.c. Needs numpy and SimpleITK; written with SimpleITK 2.5.7."""
import pathlib

import numpy as np
import SimpleITK as sitk

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/data/transform"


def image(data, spacing, origin, angle):
    i = sitk.GetImageFromArray(data)
    c, s = np.cos(angle), np.sin(angle)
    i.SetSpacing(spacing)
    i.SetOrigin(origin)
    i.SetDirection([c, -s, 0, 0, 0, -1, s, c, 0])  # slices along y, turned
    return i


def affine(rng):
    t = sitk.AffineTransform(3)
    t.SetMatrix((np.eye(3) + rng.uniform(-0.1, 0.1, (3, 3))).ravel().tolist())
    t.SetCenter([3, 8, -5])
    t.SetTranslation(rng.uniform(-2, 2, 3).tolist())
    return t


def main():
    rng = np.random.default_rng(1)
    OUT.mkdir(parents=True, exist_ok=True)
    k, j, i = np.meshgrid(np.arange(12), np.arange(11), np.arange(14), indexing="ij")
    data = np.rint(300 * np.sin(0.5 * i) * np.cos(0.4 * j + 0.3 * k) + 20 * k).astype(np.int16)
    moving = image(data, [2, 1.5, 2.5], [-12, 30, -9], 0.2)
    fixed = image(np.zeros((9, 12, 10), np.int16), [2.5, 2, 2], [-10, 28, -8], -0.1)
    smooth = np.stack([np.sin(0.4 * np.arange(9 * 12 * 10).reshape(9, 12, 10) / 10 + c) for c in range(3)], -1)
    field = sitk.GetImageFromArray((1.5 * smooth).astype(np.float32), isVector=True)
    field.CopyInformation(fixed)
    a, b = affine(rng), affine(rng)
    composite = sitk.CompositeTransform([a, b])
    for name, volume in (("moving", moving), ("field", field)):
        sitk.WriteImage(volume, str(OUT / f"{name}.nii.gz"))
    sitk.WriteTransform(a, str(OUT / "affine.tfm"))
    sitk.WriteTransform(composite, str(OUT / "composite.tfm"))
    transforms = [a, composite, sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))]
    centre = np.array(fixed.TransformContinuousIndexToPhysicalPoint([4.5, 5.5, 4]))
    euler = sitk.Euler3DTransform([3, 8, -5], 0.2, -0.3, 0.4, [1, 2, 3])
    zyx = sitk.Euler3DTransform(euler)
    zyx.SetComputeZYX(True)
    versor = sitk.VersorRigid3DTransform([0.3, -0.5, 0.8], 0.4, [1, -2, 3], [3, 8, -5])
    similarity = sitk.Similarity3DTransform(1.2, [0.3, 0.5, -0.8], 0.5, [1, 2, 3], [3, 8, -5])
    for name, t in (("euler", euler), ("zyx", zyx), ("versor", versor), ("similarity", similarity)):
        sitk.WriteTransform(t, str(OUT / f"{name}.tfm"))
        transforms.append(t)
    sitk.WriteTransform(b, str(OUT / "0GenericAffine.mat"))
    transforms.append(b)
    with open(OUT / "points.csv", "w") as f:
        for p in centre + rng.uniform(-5, 5, (20, 3)):
            row = [*p] + [v for t in transforms for v in t.TransformPoint(p.tolist())]
            f.write(",".join(f"{v:.9f}" for v in row) + "\n")
    for name, t in zip(("affine", "composite", "field"), transforms[:3]):
        result = sitk.Resample(moving, fixed, t, sitk.sitkLinear, -1024)
        sitk.WriteImage(result, str(OUT / f"by_{name}.nii.gz"))


if __name__ == "__main__":
    main()
