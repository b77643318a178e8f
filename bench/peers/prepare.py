"""nnU-Net v2's preparing of one case: CT normalisation, then its own resampling of image (order 3) and labels
(order 1). With --workers N, N processes prepare a case each, as nnU-Net does for a data set: seconds per case."""
import time

import peer

o = peer.options(
    ("--size", dict(type=int, nargs=3, default=[200, 320, 320])),
    ("--from", dict(type=float, nargs=3, default=[2.5, 0.8, 0.8], dest="spacing")),
    ("--to", dict(type=float, nargs=3, default=[2.5, 1, 1])),
    ("--phases", dict(type=int, default=4)),
    ("--workers", dict(type=int, default=1)),
)
np, torch, resampling = peer.need("numpy", "torch", "nnunetv2.preprocessing.resampling.default_resampling")
import nnunetv2

resample = resampling.resample_data_or_seg_to_shape
torch.set_num_threads(1 if o.workers > 1 else o.threads)


def inside(centre, radius):
    axes = np.ogrid[tuple(slice(0, n) for n in o.size)]
    return sum(((a + 0.5) / n / r - c / r) ** 2 for a, n, c, r in zip(axes, o.size, centre, radius)) < 1


def make_case():
    """The case of src/stage/bench_volume.c: a body, a liver, a tumour, and noise."""
    body, liver = inside((0.5, 0.5, 0.5), (0.6, 0.35, 0.45)), inside((0.55, 0.5, 0.4), (0.3, 0.2, 0.25))
    tumour = inside((0.6, 0.5, 0.35), (0.08, 0.05, 0.06)) & liver
    rng = np.random.default_rng(1)
    phases = [np.where(tumour, 60 + 10 * i, np.where(liver, 100 + 15 * i, np.where(body, 40, -1000)))
              + rng.integers(-30, 31, o.size) for i in range(o.phases)]
    return np.stack(phases).astype(np.float32), (liver.astype(np.int8) + tumour.astype(np.int8))[None]


def prepare(image, label):
    new = [int(round(n * a / b)) for n, a, b in zip(o.size, o.spacing, o.to)]
    for channel in image:  # as CTNormalization does it
        mean, sd = channel.mean(), channel.std()
        np.clip(channel, -160, 240, out=channel)
        channel -= mean
        channel /= max(sd, 1e-8)
    how = dict(order_z=0, force_separate_z=None)
    resample(image, new, o.spacing, o.to, is_seg=False, order=3, **how)
    resample(label, new, o.spacing, o.to, is_seg=True, order=1, **how)


image, label = make_case()
pool = peer.Pool(o.workers, lambda _: prepare(image.copy(), label.copy())) if o.workers > 1 else None


def work(_):
    copy = image.copy(), label.copy()
    start = time.perf_counter()
    if pool:
        pool.run()
    else:
        prepare(*copy)
    return {"seconds": (time.perf_counter() - start) / o.workers, "peak_bytes": peer.peak_bytes() * o.workers}


work(None)
peer.serve(f"nnU-Net {peer.version('nnunetv2')} {'%d processes' % o.workers if pool else 'one process'}", work, o.rounds)
