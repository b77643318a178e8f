"""nnU-Net v2's augmentation of one training patch by batchgeneratorsv2: seconds per patch, mean of --patches. With
--workers N, N processes take turns, as nnU-Net's loader runs it, each with one thread."""
import time

import peer

o = peer.options(
    ("--patch", dict(type=int, nargs=3, default=[96, 96, 96])),
    ("--sample", dict(type=int, nargs=3, default=[154, 154, 154])),
    ("--channels", dict(type=int, default=4)),
    ("--patches", dict(type=int, default=50)),
    ("--workers", dict(type=int, default=1)),
)
np, torch, trainer = peer.need("numpy", "torch", "nnunetv2.training.nnUNetTrainer.nnUNetTrainer")
torch.set_num_threads(1 if o.workers > 1 else o.threads)
transforms = trainer.nnUNetTrainer.get_training_transforms(
    np.array(o.patch), (-30 / 180 * np.pi, 30 / 180 * np.pi), None, (0, 1, 2), False,
    use_mask_for_norm=[False] * o.channels, is_cascaded=False, foreground_labels=[1, 2], regions=None, ignore_label=None)

torch.manual_seed(1)
image = 2 * torch.rand(o.channels, *o.sample) - 1
axes = [torch.arange(n).reshape([-1 if i == k else 1 for k in range(3)]) / n - 0.5 for i, n in enumerate(o.sample)]
distance = sum(a * a for a in axes)
label = ((distance < 0.1).to(torch.int16) + (distance < 0.01).to(torch.int16))[None]


def some(count, seed):
    """Seconds for `count` patches; the copies that keep the sample as it is do not count."""
    seconds = 0
    np.random.seed(seed)
    torch.manual_seed(seed)
    for _ in range(count):
        a, b = image.clone(), label.clone()
        start = time.perf_counter()
        transforms(image=a, segmentation=b)
        seconds += time.perf_counter() - start
    return seconds


def share(worker):
    return some((o.patches + o.workers - 1 - worker) // o.workers, 1 + worker)


pool = peer.Pool(o.workers, share) if o.workers > 1 else None


def work(_):
    seconds = max(pool.run()) if pool else some(o.patches, 1)
    return {"seconds": seconds / o.patches, "peak_bytes": peer.peak_bytes() * o.workers}


some(3, 0)
peer.serve(f"batchgeneratorsv2 {peer.version('batchgeneratorsv2')} "
           f"{'%d processes' % o.workers if pool else 'one process'}", work, o.rounds)
