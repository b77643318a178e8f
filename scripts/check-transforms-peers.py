#!/usr/bin/env python3
"""Compares transforms with SimpleITK, and with transformix (elastix), reg_resample (NiftyReg) and picsl_greedy where installed, on
random oblique pairs: what we convert and they apply, and what SimpleITK writes and we apply, must give the same image (within
1 HU on 99.9 % of voxels), and the same points (within 0.01 mm).

Usage: check-transforms-peers.py [BUILD [ROUNDS]]; needs numpy, nibabel, scipy and SimpleITK, and BUILD/d4m."""
import pathlib
import shutil
import subprocess
import sys
import tempfile

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from scipy import ndimage

try:
    from picsl_greedy import Greedy3D
except ImportError:
    Greedy3D = None

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Pair:
    """A fixed and a moving image on unrelated grids, in a folder of their own."""

    def __init__(self, rng, folder, d4m):
        self.rng, self.folder, self.d4m = rng, folder, d4m
        for name in ("fixed", "moving"):
            self.image(name)
        self.fixed, self.moving = (sitk.ReadImage(str(folder / f"{n}.nii.gz")) for n in ("fixed", "moving"))

    def image(self, name):
        shape = self.rng.integers(36, 60, 3)
        spacing = self.rng.uniform(1.0, 3.0, 3)
        m = np.eye(3)[self.rng.permutation(3)] * self.rng.choice([-1, 1], 3)
        a, b, c = self.rng.uniform(-0.3, 0.3, 3)
        turn = (np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
                @ np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
                @ np.array([[1, 0, 0], [0, np.cos(c), -np.sin(c)], [0, np.sin(c), np.cos(c)]]))
        affine = np.eye(4)
        affine[:3, :3] = turn @ m * spacing
        affine[:3, 3] = np.array([10, -20, 30]) - affine[:3, :3] @ ((shape - 1) / 2)
        data = ndimage.gaussian_filter(self.rng.standard_normal(shape), 2) * 3000 - 100
        data += self.rng.standard_normal(shape) * 15
        nib.save(nib.Nifti1Image(np.clip(np.rint(data), -1000, 2000).astype(np.int16), affine),
                 self.folder / f"{name}.nii.gz")

    def run(self, *words):
        run = subprocess.run([self.d4m, "transform", *map(str, words), "-q"], capture_output=True, text=True,
                             cwd=self.folder)
        assert run.returncode == 0, f"d4m transform {' '.join(map(str, words))}: {run.stderr}"

    def ours(self, *transforms):
        words = [w for t in transforms for w in ("-t", t)]
        self.run("apply", "moving.nii.gz", *words, "-o", "ours.nii.gz", "--reference", "fixed.nii.gz", "--force",
                 "--interpolation", "linear")
        return sitk.GetArrayFromImage(sitk.ReadImage(str(self.folder / "ours.nii.gz")))

    def theirs(self, transform, how=sitk.sitkLinear):
        return sitk.GetArrayFromImage(sitk.Resample(self.moving, self.fixed, transform, how, -1024))

    def affine(self):
        """A random affine as ITK's transform, about the images' centre."""
        t = sitk.AffineTransform(3)
        t.SetMatrix((np.eye(3) + self.rng.uniform(-0.12, 0.12, (3, 3))).ravel().tolist())
        t.SetCenter([-10, 20, 30])
        t.SetTranslation(self.rng.uniform(-8, 8, 3).tolist())
        return t

    def field(self, path):
        """A smooth random displacement field on the fixed grid, written by SimpleITK."""
        size = self.fixed.GetSize()[::-1]
        u = np.stack([ndimage.gaussian_filter(self.rng.standard_normal(size), 6) for _ in range(3)], -1)
        u *= 6 / np.abs(u).max()
        image = sitk.GetImageFromArray(u.astype(np.float32), isVector=True)
        image.CopyInformation(self.fixed)
        sitk.WriteImage(image, str(path))
        return self.read_field(path)

    @staticmethod
    def read_field(path):
        return sitk.DisplacementFieldTransform(sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkVectorFloat64))


def compare(a, b, what, where=True):
    off = where & (np.abs(a.astype(np.int32) - b.astype(np.int32)) > 1)
    inside = ((a > -1024) & (b > -1024)).mean()
    assert inside > 0.1, f"{what}: only {inside:.3f} of the image is inside, which proves nothing"
    assert off.mean() <= 1e-3, f"{what}: {100 * off.mean():.3f} % of voxels differ by more than 1 HU"
    return off.mean()


def moving_index(pair, displacement):
    """Voxel positions in the moving image by NiftyReg's convention: RAS displacements on the fixed grid."""
    fixed, moving = (nib.load(pair.folder / f"{n}.nii.gz") for n in ("fixed", "moving"))
    u = np.asarray(displacement.dataobj, np.float64)[:, :, :, 0]
    index = np.stack(np.meshgrid(*map(np.arange, fixed.shape), indexing="ij"), -1)
    world = index @ fixed.affine[:3, :3].T + fixed.affine[:3, 3] + u
    inv = np.linalg.inv(moving.affine)
    return np.moveaxis(world @ inv[:3, :3].T + inv[:3, 3], -1, 0), np.array(moving.shape).reshape(3, 1, 1, 1)


def resampled_by_scipy(pair, displacement):
    moving = nib.load(pair.folder / "moving.nii.gz")
    p, n = moving_index(pair, displacement)
    out = np.rint(ndimage.map_coordinates(np.asarray(moving.dataobj, np.float64), p, order=1, mode="nearest"))
    out[((p < -0.5) | (p > n - 0.5)).any(0)] = -1024
    return out.T


def check_foreign(pair):
    """SimpleITK's files, read by us."""
    affine, second = pair.affine(), pair.affine()
    sitk.WriteTransform(affine, str(pair.folder / "affine.tfm"))
    compare(pair.ours("affine.tfm"), pair.theirs(affine), "ITK's affine, read by us")
    composite = sitk.CompositeTransform([affine, second])
    sitk.WriteTransform(composite, str(pair.folder / "composite.tfm"))
    compare(pair.ours("composite.tfm"), pair.theirs(composite), "ITK's composite, read by us")
    field = pair.field(pair.folder / "field.nii.gz")
    compare(pair.ours("field.nii.gz"), pair.theirs(field), "ITK's field, read by us")
    both = sitk.CompositeTransform([affine, field])  # the last one acts first
    compare(pair.ours("field.nii.gz", "affine.tfm"), pair.theirs(both), "a field, then an affine")
    return both


def check_converted(pair, both):
    """Our files of a field and an affine, applied by others."""
    pair.run("compose", "field.nii.gz", "affine.tfm", "-o", "both.d4m")
    ours = pair.ours("both.d4m")
    compare(ours, pair.theirs(both), "our composition")
    pair.run("convert", "both.d4m", "--to", "itk", "--reference", "fixed.nii.gz", "-o", "itk.nii.gz")
    itk = pair.read_field(pair.folder / "itk.nii.gz")
    compare(ours, pair.theirs(itk), "our ITK field in SimpleITK")
    pair.run("convert", "both.d4m", "--to", "displacement", "--reference", "fixed.nii.gz", "-o", "ras.nii.gz")
    if sitk.Version.MajorVersion() * 100 + sitk.Version.MinorVersion() >= 203:  # ITK 5.3 knows the intent
        compare(ours, pair.theirs(pair.read_field(pair.folder / "ras.nii.gz")), "our RAS field in SimpleITK")
    pair.run("convert", "affine.tfm", "--to", "affine-itk", "-o", "again.tfm")
    again = sitk.ReadTransform(str(pair.folder / "again.tfm"))
    compare(pair.ours("affine.tfm"), pair.theirs(again), "our ITK affine in SimpleITK")
    pair.run("convert", "both.d4m", "--to", "niftyreg", "--reference", "fixed.nii.gz", "-o", "niftyreg.nii.gz")
    niftyreg = nib.load(pair.folder / "niftyreg.nii.gz")
    assert niftyreg.header.get_intent()[0] == "vector" and niftyreg.header["intent_name"] == b"NREG_TRANS"
    assert float(niftyreg.header["intent_p1"]) == 1
    compare(ours, resampled_by_scipy(pair, niftyreg), "our NiftyReg field in NumPy")
    pair.run("convert", "affine.tfm", "--to", "affine-niftyreg", "-o", "affine.txt")
    compare(pair.ours("affine.tfm"), pair.ours("affine.txt"), "our NiftyReg affine")
    return ours


def check_points(pair, both):
    points = pair.rng.uniform(-9, 9, (50, 3)) + [-10, 20, 30]  # LPS, near the centre
    np.savetxt(pair.folder / "points.csv", points, delimiter=",", header="x,y,z", comments="")
    pair.run("apply", "points.csv", "-t", "both.d4m", "--convention", "lps", "-o", "moved.csv")
    moved = np.loadtxt(pair.folder / "moved.csv", delimiter=",", skiprows=1)
    want = np.array([both.TransformPoint(p.tolist()) for p in points])
    worst = np.abs(moved - want).max()
    assert worst < 0.01, f"points: {worst:.4f} mm from SimpleITK's"
    pair.run("apply", "moved.csv", "-t", "both.d4m", "--inverse", "--convention", "lps", "-o", "back.csv")
    back = np.loadtxt(pair.folder / "back.csv", delimiter=",", skiprows=1)
    worst = np.abs(back - points).max()
    assert worst < 0.1, f"points: {worst:.4f} mm after there and back"


def run_tool(folder, *words):
    run = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, f"{' '.join(map(str, words))}: {run.stdout[-500:]}{run.stderr[-500:]}"


def check_transformix(pair, ours):
    size, spacing, origin = pair.fixed.GetSize(), pair.fixed.GetSpacing(), pair.fixed.GetOrigin()
    direction = np.array(pair.fixed.GetDirection()).reshape(3, 3).T.ravel()

    def text(values):
        return " ".join(repr(v) for v in map(float, values))

    (pair.folder / "parameters.txt").write_text(f"""(Transform "DeformationFieldTransform")
(NumberOfParameters 0)
(DeformationFieldFileName "{pair.folder / 'itk.nii.gz'}")
(DeformationFieldInterpolationOrder 1)
(InitialTransformParametersFileName "NoInitialTransform")
(HowToCombineTransforms "Compose")
(FixedImageDimension 3)
(MovingImageDimension 3)
(Size {' '.join(map(str, size))})
(Index 0 0 0)
(Spacing {text(spacing)})
(Origin {text(origin)})
(Direction {text(direction)})
(UseDirectionCosines "true")
(ResampleInterpolator "FinalBSplineInterpolator")
(FinalBSplineInterpolationOrder 1)
(Resampler "DefaultResampler")
(DefaultPixelValue -1024)
(ResultImageFormat "nii")
(ResultImagePixelType "short")
""")
    (pair.folder / "transformix").mkdir()
    run_tool(pair.folder, "transformix", "-in", "moving.nii.gz", "-out", "transformix", "-tp", "parameters.txt")
    result = sitk.GetArrayFromImage(sitk.ReadImage(str(pair.folder / "transformix/result.nii")))
    p, n = moving_index(pair, nib.load(pair.folder / "niftyreg.nii.gz"))
    between = ((p >= 0) & (p <= n - 1)).all(0).T  # beyond the outermost centres, its B-spline of order 1 mirrors
    compare(ours, result, "our ITK field in transformix", between)


def check_reg_resample(pair, ours):
    run_tool(pair.folder, "reg_resample", "-ref", "fixed.nii.gz", "-flo", "moving.nii.gz", "-trans", "niftyreg.nii.gz",
             "-res", "reg.nii.gz", "-inter", "1", "-pad", "-1024")
    compare(ours, sitk.GetArrayFromImage(sitk.ReadImage(str(pair.folder / "reg.nii.gz"))), "our field in reg_resample")


def check_greedy(pair, ours):
    """Our files in greedy: the field, and the affine as four rows of numbers."""
    for transform, want in (("itk.nii.gz", ours), ("affine.txt", pair.ours("affine.txt"))):
        names = [str(pair.folder / n) for n in ("fixed.nii.gz", "moving.nii.gz", "greedy.nii.gz", transform)]
        Greedy3D().execute("-V 0 -rf {} -rm {} {} -rb -1024 -r {}".format(*names))
        result = np.rint(sitk.GetArrayFromImage(sitk.ReadImage(names[2])))
        inside = (want > -1024) & (result > -1000)  # it blends its background into the outermost half voxel
        compare(want, result, f"our {transform} in greedy", inside & ndimage.binary_erosion(want > -1024))


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build").resolve()
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    peers = [n for n in ("transformix", "reg_resample") if shutil.which(n)]
    shown = peers + ["greedy"] * bool(Greedy3D)
    for seed in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            pair = Pair(np.random.default_rng(seed), pathlib.Path(name), build / "d4m")
            try:
                both = check_foreign(pair)
                ours = check_converted(pair, both)
                check_points(pair, both)
                if "transformix" in peers:
                    check_transformix(pair, ours)
                if Greedy3D:
                    check_greedy(pair, ours)
                if "reg_resample" in peers:
                    check_reg_resample(pair, ours)
            except AssertionError as error:
                sys.exit(f"seed {seed}: {error}")
    print(f"{rounds} pairs: SimpleITK {sitk.Version_VersionString()}{''.join(', ' + p for p in shown)}: same images and points")


if __name__ == "__main__":
    main()
