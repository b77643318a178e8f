#!/usr/bin/env python3
"""Compares our NIfTI reader and writer with nibabel and SimpleITK on random valid files of every kind.

Usage: check-nifti-peers.py [BUILD [ROUNDS]]; needs numpy, nibabel and SimpleITK, and BUILD/libd4m.a."""
import pathlib
import subprocess
import sys
import tempfile

import nibabel as nib
import numpy as np
import SimpleITK as sitk

ROOT = pathlib.Path(__file__).resolve().parent.parent
TYPES = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64, np.float32, np.float64]
CARRIED = ["dim", "pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d",
           "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"]


def build_driver(build, folder):
    libs = subprocess.run(["pkg-config", "--libs", "jansson", "zlib", "libdeflate", "libxxhash", "cairo"], check=True,
                          capture_output=True, text=True).stdout.split()
    out = folder / "driver"
    subprocess.run(["cc", "-std=c11", "-O1", "-D_POSIX_C_SOURCE=200809L", f"-I{ROOT}/src", ROOT / "scripts/nifti-peers.c",
                    build / "libd4m.a", *libs, "-fopenmp", "-lm", "-o", out], check=True)
    return out


def random_affine(rng):
    """Any of the 48 axis orders, turned, with its own spacing and origin."""
    m = np.eye(3)[rng.permutation(3)] * rng.choice([-1, 1], 3)
    if rng.random() < 0.5:
        angle = rng.uniform(-0.3, 0.3, 3)
        for k in range(3):
            turn = np.eye(3)
            i, j = (k + 1) % 3, (k + 2) % 3
            turn[i, i] = turn[j, j] = np.cos(angle[k])
            turn[i, j], turn[j, i] = -np.sin(angle[k]), np.sin(angle[k])
            m = turn @ m
    a = np.eye(4)
    a[:3, :3] = m * rng.uniform(0.4, 5, 3)
    a[:3, 3] = rng.uniform(-400, 400, 3)
    return a


def write_nibabel(rng, path):
    dtype = np.dtype(TYPES[rng.integers(len(TYPES))]).newbyteorder("<>"[rng.integers(2)])
    shape = tuple(rng.integers(5, 12, 3)) + (1,) * int(rng.integers(0, 3))
    low = 0 if dtype.kind == "u" else -120
    data = rng.integers(low, 120, shape).astype(dtype)
    kind = [nib.Nifti1Image, nib.Nifti2Image][rng.integers(2)]
    header = kind.header_class(endianness=dtype.byteorder if dtype.byteorder in "<>" else "<")
    header.set_data_dtype(dtype)
    affine = random_affine(rng)
    image = kind(data, affine, header)
    which = rng.integers(3)
    image.set_sform(affine, int(rng.integers(1, 5)) if which != 1 else 0)
    image.set_qform(affine, int(rng.integers(1, 5)) if which != 2 else 0)
    image.header["descrip"] = b"NAME^OF PATIENT"
    image.header.set_xyzt_units("mm", "sec")
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"NAME^OF PATIENT"))
    image.header.set_slope_inter(float(rng.choice([1, 1, 0.5, 2, -1])), float(rng.choice([0, 0, -24, 7.25])))
    nib.save(image, path)


def write_sitk(rng, path):
    data = rng.integers(-120, 120, tuple(rng.integers(5, 12, 3))).astype(np.int16)
    image = sitk.GetImageFromArray(data)
    a = np.diag([-1, -1, 1, 1]) @ random_affine(rng)
    spacing = np.linalg.norm(a[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((a[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(a[:3, 3].tolist())
    sitk.WriteImage(image, str(path))


def sitk_affine(path):
    image = sitk.ReadImage(str(path))
    while image.GetDimension() > 3:
        image = image[..., 0]
    a = np.eye(4)
    a[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    a[:3, 3] = image.GetOrigin()
    return np.diag([-1, -1, 1, 1]) @ a, sitk.GetArrayFromImage(image).T


def close(a, b, what):
    assert np.allclose(a, b, rtol=0, atol=2e-3), f"{what}:\n{a}\n{b}"


def check(driver, path, folder):
    run = subprocess.run([driver, path, folder / "o"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    ours = np.vstack([np.array(run.stdout.split(), float).reshape(3, 4), [0, 0, 0, 1]])
    image = nib.load(path)
    want = np.rint(np.clip(np.asarray(image.dataobj, np.float64), -1024, 3071)).astype(np.int16)
    close(ours, image.affine, "affine against nibabel")
    hu, mask, made = (nib.load(folder / f"o-{end}") for end in ("hu.nii.gz", "mask.nii.gz", "made.nii"))
    assert np.array_equal(np.asarray(hu.dataobj), want), "voxels against nibabel"
    assert np.array_equal(np.asarray(mask.dataobj), want > 0), "mask against nibabel"
    assert np.array_equal(np.asarray(made.dataobj), want.reshape(want.shape[:3])), "voxels of the made file"
    for key in CARRIED:
        assert np.array_equal(image.header[key], mask.header[key], equal_nan=key == "pixdim"), key
    assert type(image) is type(mask) and not mask.header.extensions
    for end in ("o-hu.nii.gz", "o-mask.nii.gz"):
        assert b"NAME" not in nib.openers.Opener(str(folder / end)).read(), "private text"
    close(made.affine, image.affine, "affine of the made file against nibabel")
    for end in ("o-mask.nii.gz", "o-made.nii"):
        if isinstance(mask, nib.Nifti2Image) and end == "o-mask.nii.gz":
            continue  # SimpleITK reads no NIfTI-2
        affine, voxels = sitk_affine(folder / end)
        close(affine, image.affine, "affine of the written file in SimpleITK")
        assert np.array_equal(voxels > 0, want.reshape(want.shape[:3]) > 0), "voxels in SimpleITK"


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build").resolve()
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        driver = build_driver(build, folder)
        for seed in range(rounds):
            rng = np.random.default_rng(seed)
            path = folder / ["a.nii", "a.nii.gz"][rng.integers(2)]
            (write_sitk if seed % 3 == 0 else write_nibabel)(rng, path)
            try:
                check(driver, path, folder)
            except AssertionError as error:
                sys.exit(f"seed {seed}: {error}")
    print(f"{rounds} files: nibabel {nib.__version__}, SimpleITK {sitk.Version_VersionString()}: same affine, voxels, header")


if __name__ == "__main__":
    main()
