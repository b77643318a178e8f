#!/usr/bin/env python3
"""Checks folders that `d4m phantom --clean` wrote against the laws of phantoms, independently of the program: headers, HU, noise, volumes,
what SimpleITK makes of the truth fields, and nnU-Net's integrity check. One line per figure out of bounds; exit 1 if there is one.

Usage: check-phantom.py FOLDER...; needs numpy, scipy, nibabel, SimpleITK, and nnunetv2 for the integrity check."""
import json
import pathlib
import sys
import tempfile

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from scipy import ndimage

PHASES = ("noncontrast", "arterial", "portal_venous", "delayed")
PVP = 2
LIVER = (1, 2, 3, 4, 16)  # with its veins and lesions
LABELS = {  # of truth/CASE_labels, by the names of volumes_ml
    "liver": 1, "malignant_lesion": 2, "portal_vein": 3, "hepatic_veins": 4, "aorta": 5, "vena_cava": 6, "spleen": 7,
    "right_kidney": 8, "left_kidney": 9, "pancreas": 10, "gallbladder": 11, "stomach": 12, "bone": 13, "lung": 14,
    "rest_of_body": 15, "benign_lesion": 16}
TISSUES = (("liver", 1, 2), ("spleen", 7, 2), ("aorta", 5, 1), ("portal_vein", 3, 1))  # name, label, erosion in voxels
PULLED = (("liver", LIVER, .98, .975), ("spleen", (7,), .965, .96), ("kidneys", (8, 9), .95, .95))  # Dice: equal slices, 5 mm


class Report:
    """Counts laws and prints those that do not hold."""

    def __init__(self):
        self.laws = self.broken = 0
        self.where = ""

    def law(self, holds, text):
        self.laws += 1
        if not holds:
            self.broken += 1
            print(f"FAIL {self.where}: {text}")

    def near(self, got, want, limit, text):
        self.law(abs(got - want) <= limit, f"{text}: {got:.4g}, want {want:.4g} +- {limit:.3g}")


def ras(path):
    """Voxels in R, A, S order, affine, and the file's own header."""
    stored = nib.load(path)
    image = nib.as_closest_canonical(stored)
    return np.asanyarray(image.dataobj), image.affine, stored.header


class Phase:
    """One phase's files: image, clean (or None), labels."""

    def __init__(self, folder, case, part, p):
        self.p = p
        self.image_path = folder / f"images{part}" / f"{case}_{p:04d}.nii.gz"
        self.label_path = folder / "truth" / f"{case}_labels_{p:04d}.nii.gz"
        self.clean_path = folder / "truth" / f"{case}_clean_{p:04d}.nii.gz"
        self.image, self.affine, self.header = ras(self.image_path)
        self.label, self.label_affine, self.label_header = ras(self.label_path)
        self.clean = ras(self.clean_path)[0] if self.clean_path.exists() else None
        self.spacing = np.diag(self.affine)[:3]

    def world(self, axis):
        return self.affine[axis, 3] + self.spacing[axis] * np.arange(self.image.shape[axis])


def check_headers(r, phase, grid):
    r.law(phase.header.get_data_dtype() == np.int16, "the image is not int16")
    r.law(phase.label_header.get_data_dtype() == np.uint8, "the labels are not uint8")
    r.law(phase.image.shape == phase.label.shape and np.allclose(phase.affine, phase.label_affine, atol=1e-4),
          "image and labels lie on two grids")
    r.law(list(phase.image.shape) == grid["dims"], f"dims {phase.image.shape}, JSON {grid['dims']}")
    r.law(np.allclose(phase.affine[:3, 3], grid["ras_origin_mm"], atol=1e-3), "origin differs from the JSON's")
    r.law(np.allclose(phase.spacing, grid["spacing_mm"], atol=1e-4), "spacing differs from the JSON's")
    r.law("".join(nib.aff2axcodes(phase.header.get_best_affine())) == grid["stored_axes"], "stored axes differ from the JSON's")
    for form in ("qform", "sform"):
        matrix, code = getattr(phase.header, f"get_{form}")(coded=True)
        r.law(code > 0 and np.allclose(matrix, phase.header.get_best_affine(), atol=1e-3), f"{form} is missing or differs")


def check_volumes(r, phase, record):
    ml = abs(np.linalg.det(phase.affine[:3, :3])) / 1000
    counts = np.bincount(phase.label.ravel(), minlength=256)
    r.law(counts[17:].sum() == 0, "labels over 16")
    for name, label in LABELS.items():
        r.near(record["volumes_ml"][name][phase.p], counts[label] * ml, 1e-3 + 1e-4 * counts[label] * ml, f"volume of {name}, ml")
    if "real" in record:  # the CT's own tumours are listed as they are in the mask
        return
    lesions = sum(k["volume_ml"][phase.p] for k in record["lesions"])
    r.near(lesions, (counts[2] + counts[16]) * ml, 1e-3 + 1e-4 * lesions, "volumes of the single lesions, ml")


def eroded(mask, by):
    return ndimage.binary_erosion(mask, iterations=by)


def check_hu(r, phase, record, preset):
    shown = []
    for name, label, by in TISSUES:
        mask = phase.label == label
        inner = eroded(mask, by)
        if preset != "tiny":  # fine pixels: keep off the edge as at 2.2 mm
            inner &= ndimage.distance_transform_edt(mask, sampling=phase.spacing) > 2.1 * by
        cut = any(mask.take(end, axis).any() for axis in range(3) for end in (0, -1)) or preset == "tiny"
        if inner.sum() < 30 or (cut and name == "spleen"):  # its arterial pattern is even only over a whole large one
            continue
        values, want = phase.clean[inner], record["hu"][name][phase.p]
        got = values[values < want + 50].mean() if name == "aorta" else values.mean()  # plaques aside
        r.near(got, want, 4, f"HU of {name}")
        shown.append(f"{name} {got:.0f}/{want:.0f}")
    organ = np.isin(phase.label, (1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 16))
    r.law((phase.clean[organ] < -300).mean() < .003 if organ.any() else True, "organs in air")
    return " ".join(shown)


def expected_sd(phase, record):
    scale = record["drawn"]["scale"]
    x, y = phase.world(0)[:, None] / (165 * scale), phase.world(1)[None, :] / (112 * scale)
    return record["noise_sd_hu"][phase.p] * (.72 + .45 * np.exp(-1.4 * (x ** 2 + y ** 2)))


def radial_peak(power, spacing):
    """Frequency (1/mm) of the peak of the radial mean, smoothed over .01 and below the lower Nyquist frequency; above .05."""
    fx, fy = (np.fft.fftfreq(n, d) for n, d in zip(power.shape, spacing))
    f = np.hypot(fx[:, None], fy[None, :])
    at = np.arange(.05, .5 / max(spacing) - .01, .0025)
    return at[np.argmax([np.average(power, weights=np.exp(-.5 * ((f - k) / .01) ** 2)) for k in at])]


def theory_power(shape, spacing, fpeak):
    """The power that the noise's kernels have on this pixel."""
    def gauss(sigma):  # sampled and cut as a discrete kernel is
        parts = []
        for n, s, d in zip(shape, sigma, spacing):
            k = np.arange(n)
            k = np.minimum(k, n - k)
            w = np.exp(-.5 * (k * d / s) ** 2)
            parts.append(np.fft.fft(w / w.sum()).real)
        return parts[0][:, None] * parts[1][None, :]
    s = np.array([max(.153 / fpeak, .25 * d) for d in spacing])
    band, streak = gauss(s) - .85 * gauss(2 * s), gauss((3.5, .7))
    return .91 * band ** 2 / (band ** 2).mean() + .09 * streak ** 2 / (streak ** 2).mean()


def check_noise(r, phase, record, grid):
    inner = eroded(np.isin(phase.label, (1, 2, 4, 16)), 3)
    if not record["noise_hu"]:
        r.law(np.array_equal(phase.image[inner], phase.clean[inner]), "noise where none was asked for")
    if inner.sum() < 2000 or record["noise_hu"] < 2:
        return ""
    noise = (phase.image.astype(np.float32) - phase.clean) / expected_sd(phase, record)[:, :, None]
    rounding = 2 / 12 / np.mean(expected_sd(phase, record)) ** 2
    sd = np.sqrt(noise[inner].var() - rounding)
    r.near(sd, 1, .1, "noise SD in the liver, of the one asked for")
    both = inner[:, :, 1:] & inner[:, :, :-1]
    lag = (noise[:, :, 1:] * noise[:, :, :-1])[both].mean() / noise[inner].var()
    a = .157 * min(1, 2.5 / phase.spacing[2])
    r.near(lag, 2 * a / (1 + 2 * a * a), .05, "correlation of neighbouring slices")
    # the spectrum: of a square inside the circle that padding leaves, where noise is weaker in air
    square = tuple(slice(n // 2 - int(.35 * min(noise.shape[:2])), n // 2 + int(.35 * min(noise.shape[:2]))) for n in noise.shape[:2])
    patch = np.where(phase.clean < -700, noise / .55, noise)[square]
    window = np.outer(*(np.hanning(n) for n in patch.shape[:2]))[:, :, None]
    power = (np.abs(np.fft.fft2((patch - patch.mean((0, 1))) * window, axes=(0, 1))) ** 2).mean(2)
    peak, fpeak = radial_peak(power, phase.spacing[:2]), record["fpeak_per_mm"]
    theory = radial_peak(theory_power(power.shape, phase.spacing[:2], fpeak), phase.spacing[:2])
    r.near(peak, theory, .03, "peak of the noise's power, 1/mm")
    return f"noise {sd:.3f} lag {lag:.2f} peak {peak:.2f} (asked {fpeak:.2f}, this pixel {theory:.2f})"


def field_transform(r, path, pvp):
    """The field as SimpleITK applies it: from PVP points to the phase's, LPS. Also as an array (x, y, z, 3), RAS, on its grid."""
    stored = nib.load(path)
    h = stored.header
    r.law(h["intent_code"] == 1007, f"intent {h['intent_code']}")
    r.law(h.get_data_dtype() == np.float32 and stored.ndim == 5 and stored.shape[3:] == (1, 3), "the field is not float32 X, Y, Z, 1, 3")
    r.law(np.allclose(h.get_zooms()[:3], 4, atol=1e-4), f"the field's spacing is {h.get_zooms()[:3]}")
    data = stored.get_fdata(dtype=np.float32)[..., 0, :]
    corner = np.linalg.inv(stored.affine) @ pvp.affine @ np.array([[*(np.array(pvp.image.shape) - 1), 1], [0, 0, 0, 1]]).T
    r.law((corner[:3] > -1e-3).all() and (corner[:3] < np.array(data.shape[:3])[:, None] - 1 + 1e-3).all(),
          "the field does not reach over the PVP field of view")
    image = sitk.ReadImage(str(path))
    u = [sitk.VectorIndexSelectionCast(image, c, sitk.sitkFloat64) for c in range(3)]
    r.law(all(np.array_equal(sitk.GetArrayViewFromImage(u[c]).T, data[..., c]) for c in range(3)), "SimpleITK reads other vectors than nibabel")
    return sitk.DisplacementFieldTransform(sitk.Compose(-u[0], -u[1], u[2])), data, stored.affine


def dice(a, b):
    return 2 * (a & b).sum() / max(1, a.sum() + b.sum())


def pull(transform, mask, moving, fixed):
    """mask (an array in stored order of `moving`) at T(x), linear."""
    image = sitk.GetImageFromArray(mask.astype(np.float32))
    image.CopyInformation(moving)
    return sitk.GetArrayFromImage(sitk.Resample(image, fixed, transform, sitk.sitkLinear, 0.0))


def check_pull(r, transform, phase, pvp, strict):
    fixed, moving = sitk.ReadImage(str(pvp.label_path)), sitk.ReadImage(str(phase.label_path))
    want, have = sitk.GetArrayFromImage(fixed), sitk.GetArrayFromImage(moving)
    inside = pull(transform, np.ones_like(have), moving, fixed) > .999
    thick = phase.spacing[2] > pvp.spacing[2] * 1.2
    shown = []
    for name, labels, equal, coarse in PULLED:
        a, b = np.isin(want, labels) & inside, (pull(transform, np.isin(have, labels), moving, fixed) > .5) & inside
        if a.sum() < 200:
            continue
        got = dice(a, b)
        if strict:
            limit = coarse if thick else equal
            r.law(got >= limit, f"Dice of {name} pulled onto PVP {got:.4f} < {limit}")
        shown.append(f"{name} {got:.3f}")
    return "Dice " + " ".join(shown)


def sample(data, affine, mm):
    """Field values at points (n, 3) of the world, trilinear."""
    at = (np.linalg.inv(affine) @ np.c_[mm, np.ones(len(mm))].T)[:3]
    return np.stack([ndimage.map_coordinates(data[..., c], at, order=1, mode="nearest") for c in range(3)], 1)


def check_field(r, data, affine, phase, pvp, record, params):
    index = np.argwhere(np.isin(pvp.label, LIVER))
    mm = index @ pvp.affine[:3, :3].T + pvp.affine[:3, 3]
    length = np.linalg.norm(sample(data, affine, mm), axis=1)
    said = record["misalignment"]["mean_mm"][phase.p]
    r.near(length.mean(), said, .05 + .03 * said, "mean |T(x) - x| in the liver against the JSON's")
    dial = params["dial"]
    if params["registered"]:
        r.near(said, dial, .03 * dial, "mean |T(x) - x| in the liver against the dial")
        # det over nodes in the liver
        jacobian = np.stack([np.stack(np.gradient(data[..., c], 4, axis=(0, 1, 2)), -1) for c in range(3)], -2)
        jacobian = jacobian @ np.linalg.inv(affine[:3, :3] / 4) + np.eye(3)
        at = (np.linalg.inv(affine) @ np.c_[mm, np.ones(len(mm))].T)[:3].round().astype(int)
        det = np.linalg.det(jacobian[tuple(at)]).min()
        r.law(det >= (.5 if dial <= 5 else .12), f"least determinant of T in the liver {det:.3f}")
        if not dial:
            r.law(not data.any() and np.array_equal(phase.label, pvp.label), "phases differ at dial 0")
    coarse = .4 if dial <= 5 else 1  # what 4 mm lose
    for lesion in (k for k in record["lesions"] if k["kind"] != "unknown"):
        c = np.array([lesion["centre_mm"][PVP]])
        shift = sample(data, affine, c)[0]
        r.near(np.linalg.norm(shift), lesion["shift_mm"][phase.p], coarse, f"shift of lesion {lesion['id']}")
        r.near(np.linalg.norm(c + shift - lesion["centre_mm"][phase.p]), 0, coarse, f"centre of lesion {lesion['id']}")
    return f"|T-x| {length.mean():.2f}/{said:.2f}"


def check_annotation(r, folder, case, part, pvp, record, params):
    drawn, affine, header = ras(folder / f"labels{part}" / f"{case}.nii.gz")
    r.law(header.get_data_dtype() == np.uint8 and drawn.shape == pvp.label.shape and np.allclose(affine, pvp.affine, atol=1e-4),
          "labels do not fit the PVP image")
    r.law(drawn.max() <= 2, "labels over 2")
    truth = np.isin(pvp.label, (1, 2, 16)) | (np.isin(pvp.label, (3, 4)) & (drawn > 0))
    got = dice(drawn > 0, truth)
    r.law(got >= .95, f"Dice of the drawn liver {got:.3f}")
    lesion = np.isin(pvp.label, (2, 16))
    near = ndimage.distance_transform_edt(~lesion, sampling=pvp.spacing) if lesion.any() else np.full(lesion.shape, 99.)
    r.law(not (near[drawn == 2] > 4 + pvp.spacing[2]).any(), "tumour drawn more than 4 mm and a slice from any lesion")
    any_drawn = any(k.get("drawn", True) and (k["label"] == 2 or params["benign_is_tumour"]) for k in record["lesions"])
    r.law(any_drawn or not (drawn == 2).any(), "tumour drawn in a case that has none")
    return f"drawn liver {got:.3f}"


def check_case(r, folder, path, params, preset):
    record, case = json.loads(path.read_text()), path.stem
    part = "Tr" if (folder / "labelsTr" / f"{case}.nii.gz").exists() else "Ts"
    pvp, shown = None, []
    for p in (PVP, 0, 1, 3):
        r.where = f"{folder.name}/{case} {PHASES[p]}"
        image = folder / f"images{part}" / f"{case}_{p:04d}.nii.gz"
        grid = record["grids"][p]
        r.law(image.exists() == (grid is not None), "image there or not, unlike the JSON")
        if not image.exists() or grid is None:
            continue
        phase = Phase(folder, case, part, p)
        check_headers(r, phase, grid)
        check_volumes(r, phase, record)
        line = []
        if phase.clean is not None and "real" not in record:  # whose HU and whose body's middle are its own
            line += [check_hu(r, phase, record, preset), check_noise(r, phase, record, grid)]
        if p == PVP:
            pvp = phase
            line.append(check_annotation(r, folder, case, part, pvp, record, params))
            if preset in ("demo", "real"):
                ml = sum(record["volumes_ml"][k][PVP] for k in ("liver", "malignant_lesion", "benign_lesion", "hepatic_veins"))
                ml /= record["drawn"]["scale"] ** 3
                r.law(1000 <= ml <= 2400, f"liver of {ml:.0f} ml")
                line.append(f"liver {ml:.0f} ml")
        else:
            transform, data, affine = field_transform(r, folder / "truth" / f"{case}_field_{p:04d}.nii.gz", pvp)
            strict = preset == "demo" and params["dial"] <= 8 and not params["extent"]
            line += [check_pull(r, transform, phase, pvp, strict), check_field(r, data, affine, phase, pvp, record, params)]
        shown.append(f"  {PHASES[p][:4]}: " + "; ".join(k for k in line if k))
    print(f"{folder.name}/{case}: {len(record['lesions'])} lesions\n" + "\n".join(shown), flush=True)


def check_integrity(r, folder):
    """nnU-Net's own check, on a copy under the name that it wants; only where all phases are there, on one grid."""
    try:
        from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity
    except ImportError as e:
        return f"nnU-Net's integrity check skipped: {e}"
    with tempfile.TemporaryDirectory() as tmp:
        copy = pathlib.Path(tmp) / "Dataset001_phantom"
        copy.mkdir()
        for name in ("dataset.json", "imagesTr", "labelsTr"):
            (copy / name).symlink_to((folder / name).resolve())
        try:
            verify_dataset_integrity(str(copy), num_processes=1)
        except Exception as e:  # it raises assertions and runtime errors of many kinds
            r.law(False, f"nnU-Net's integrity check: {e}")
            return "nnU-Net's integrity check failed"
    r.law(True, "")
    return "nnU-Net's integrity check passed"


def check_folder(r, folder):
    dataset = json.loads((folder / "dataset.json").read_text())
    made = dataset["phantom"]
    params = made["parameters"]
    r.where = folder.name
    r.law(dataset["channel_names"] == {str(k): "CT" for k in range(4)}, "channel_names")
    r.law(dataset["labels"] == {"background": 0, "liver": 1, "tumour": 2}, "labels")
    r.law([dataset["phase_names"][str(k)] for k in range(4)] == list(PHASES), "phase_names")
    cases = sorted((folder / "truth").glob("*.json"))
    r.law(len(cases) == made["count"], f"{len(cases)} cases, {made['count']} asked for")
    r.law(len(list((folder / "labelsTr").glob("*.nii.gz"))) == dataset["numTraining"], "numTraining")
    for path in cases:
        check_case(r, folder, path, params, made["preset"])
    r.where = folder.name
    missing = len(list((folder / "imagesTr").glob("*.nii.gz"))) != 4 * dataset["numTraining"]
    if not params["registered"] or missing or not dataset["numTraining"]:
        print("nnU-Net's integrity check skipped: it wants all phases of all cases on one grid (registered, missing 0)")
    else:
        print(check_integrity(r, folder))


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    r = Report()
    for name in sys.argv[1:]:
        check_folder(r, pathlib.Path(name))
    print(f"{r.laws} laws, {r.broken} broken")
    sys.exit(bool(r.broken))


if __name__ == "__main__":
    main()
