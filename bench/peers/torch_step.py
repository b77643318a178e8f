"""A training step (or the inference) of nnU-Net's networks in PyTorch: nnU-Net's own network classes, Dice + cross
entropy with deep supervision, clipping, SGD with Nesterov momentum; random data that are in memory already."""
import time

import peer

NETS = ["nnunet", "nnunet-residual"]
o = peer.options(
    ("--net", dict(choices=NETS, default="nnunet")),
    ("--patch", dict(type=int, nargs=3, default=[96, 96, 96])),
    ("--batch", dict(type=int, default=2)),
    ("--channels", dict(type=int, default=4)),
    ("--classes", dict(type=int, default=3)),
    ("--stages", dict(type=int, default=5)),
    ("--layout", dict(choices=["ncdhw", "ndhwc"], default="ncdhw")),
    ("--precision", dict(choices=["f32", "bf16"], default="f32")),
    ("--compile", dict(action="store_true")),
    ("--forward", dict(action="store_true", help="inference: no gradients, the finest output alone")),
)
torch, unet = peer.need("torch", "dynamic_network_architectures.architectures.unet")
nn = torch.nn
torch.set_num_threads(o.threads)
torch.manual_seed(0)
bf16 = o.precision == "bf16"
if bf16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
    peer.skip("PyTorch bf16: this CPU has no bf16 instructions")
flat = o.patch[0] == 1
dims = 2 if flat else 3
size = o.patch[1:] if flat else o.patch
last = torch.channels_last if flat else torch.channels_last_3d


def network():
    features = [min(32 << s, 320) for s in range(o.stages)]
    conv, norm = (nn.Conv2d, nn.InstanceNorm2d) if flat else (nn.Conv3d, nn.InstanceNorm3d)
    residual = o.net == "nnunet-residual"
    blocks = ([1, 3, 4] + [6] * o.stages)[:o.stages] if residual else [2] * o.stages
    make = unet.ResidualEncoderUNet if residual else unet.PlainConvUNet
    m = make(o.channels, o.stages, features, conv, 3, [1] + [2] * (o.stages - 1), blocks, o.classes,
             [1 if residual else 2] * (o.stages - 1), conv_bias=True, norm_op=norm,
             norm_op_kwargs={"eps": 1e-5, "affine": True}, nonlin=nn.LeakyReLU, nonlin_kwargs={"inplace": True},
             deep_supervision=not o.forward)
    m = m.to(memory_format=last) if o.layout == "ndhwc" else m
    if o.forward:
        m.eval()
    return m


def levels(n):
    """nnU-Net's weights of the outputs, finest first: halves, the coarsest not at all, sum 1."""
    w = [0.5 ** i for i in range(n)]
    if n > 1:
        w[-1] = 0
    return [v / sum(w) for v in w]


def dice_ce(logits, y):
    p = logits.float().softmax(1)
    one = torch.zeros_like(p).scatter_(1, y, 1)
    space = tuple(range(2, p.ndim))
    both, total = (p * one)[:, 1:].sum(space), p[:, 1:].sum(space) + one[:, 1:].sum(space)
    return nn.functional.cross_entropy(logits.float(), y[:, 0]) - ((2 * both + 1e-5) / (total + 1e-5)).mean()


net = network()
params = list(net.parameters())
model = torch.compile(net) if o.compile else net
x = torch.randn(o.batch, o.channels, *size)
x = x.to(memory_format=last) if o.layout == "ndhwc" else x
labels = torch.randint(0, o.classes, (o.batch, 1, *size))
optimiser = torch.optim.SGD(params, 1e-2, momentum=0.99, nesterov=True, weight_decay=3e-5)


def forward():
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        model(x)


def step():
    optimiser.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        out = model(x)
    loss = 0
    for weight, logits in zip(levels(len(out)), out):
        if weight:
            y = labels if logits.shape[2:] == labels.shape[2:] else nn.functional.interpolate(
                labels.float(), size=logits.shape[2:], mode="nearest-exact").long()
            loss = loss + weight * dice_ce(logits, y)
    loss.backward()
    nn.utils.clip_grad_norm_(params, 12)
    optimiser.step()


def work(_):
    start = time.perf_counter()
    forward() if o.forward else step()
    return time.perf_counter() - start


work(None)
work(None)
peer.serve(f"PyTorch {torch.__version__.split('+')[0]} {'compiled' if o.compile else 'eager'} {o.layout} {o.precision}",
           work, o.rounds)
