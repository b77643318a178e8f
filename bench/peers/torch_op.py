"""Single ops in PyTorch. Every line asks for one case, {"op": ..., "in": [[...], ...], "gradients": ...} with shapes as
d4m has them (channels last); the answer is the seconds of one call in PyTorch's faster memory format, or {"none": true}
where PyTorch has no such op."""
import time

import peer

o = peer.options()
torch, = peer.need("torch")
f = torch.nn.functional
torch.set_num_threads(o.threads)
torch.manual_seed(0)
ready = {}  # the case that was asked for last, by memory format


def spread(x):
    """(N, D, H, W, C) as PyTorch's (N, C, D, H, W); what has one plane is an image."""
    dims = [x[0], x[4], *x[1:4]]
    return [dims[0], dims[1], *dims[3:]] if x[1] == 1 else dims


def tensor(dims, last):
    t = torch.randn(dims)
    if last and len(dims) in (4, 5):
        t = t.to(memory_format=torch.channels_last if len(dims) == 4 else torch.channels_last_3d)
    return t


def gradients(y, inputs, dy):
    return torch.autograd.grad(y, inputs, dy)


def conv(q, last):
    c = q["conv"]
    flat = 2 if q["in"][0][1] == 1 else 3
    cut = lambda v: v[3 - flat:]
    where = (cut(c["stride"]), cut(c["pad"]), cut(c["dilation"]))
    forward = {2: f.conv2d, 3: f.conv3d}[flat]
    if q["op"] == "conv":
        x, w = tensor(spread(q["in"][0]), last), tensor(weight(q["in"][1], flat), last)
        if c["padding"] != "zero":
            ends = [p for p in reversed(where[1]) for _ in range(2)]
            return lambda: forward(f.pad(x, ends, c["padding"]), w, None, where[0], 0, where[2], c["groups"])
        return lambda: forward(x, w, None, *where, c["groups"])
    dy = tensor(spread(q["in"][0]), last)
    if q["op"] == "conv_dx":
        w = tensor(weight(q["in"][1], flat), last)
        x = tensor([dy.shape[0], w.shape[1] * c["groups"], *cut(c["size"])], last)
    else:
        x = tensor(spread(q["in"][1]), last)
        w = tensor([dy.shape[1], x.shape[1] // c["groups"], *cut(c["kernel"])], last)
    mask = [q["op"] == "conv_dx", q["op"] == "conv_dw", False]
    return lambda: torch.ops.aten.convolution_backward(dy, x, w, None, *where, False, [0] * flat, c["groups"], mask)


def weight(w, flat):
    return w if flat == 3 else [w[0], w[1], w[3], w[4]]


def norm_act(q, last):
    x = tensor(spread(q["in"][0]), last).requires_grad_(q["gradients"])
    scale, shift = (torch.ones(x.shape[1], requires_grad=q["gradients"]) for _ in range(2))
    y = lambda: f.leaky_relu(f.instance_norm(x, weight=scale, bias=shift, eps=1e-5), 0.01)
    dy = torch.randn_like(x)
    return (lambda: gradients(y(), (x, scale, shift), dy)) if q["gradients"] else y


def dice_ce(q, last):
    x = tensor(spread(q["in"][0]), last).requires_grad_(q["gradients"])
    labels = torch.randint(0, x.shape[1], (x.shape[0], 1, *x.shape[2:]))

    def loss():
        p = x.softmax(1)
        one = torch.zeros_like(p).scatter_(1, labels, 1)
        space = tuple(range(2, p.ndim))
        both, total = (p * one)[:, 1:].sum(space), p[:, 1:].sum(space) + one[:, 1:].sum(space)
        return f.cross_entropy(x, labels[:, 0]) - ((2 * both + 1e-5) / (total + 1e-5)).mean()
    return (lambda: torch.autograd.grad(loss(), x)) if q["gradients"] else loss


def sgd(q, last):
    w = [torch.nn.Parameter(torch.randn(d)) for d in q["in"][3:6]]
    for p in w:
        p.grad = torch.randn_like(p)
    opt = torch.optim.SGD(w, 1e-3, momentum=0.99, nesterov=True, weight_decay=3e-5)
    return opt.step


def l2_norm(q, last):
    w = [torch.randn(d) for d in q["in"]]
    return lambda: torch.nn.utils.get_total_norm(w)


def of_two(op):
    def make(q, last):
        a, b = (tensor(spread(d), last) for d in q["in"])
        return lambda: op(a, b)
    return make


def of_one(op):
    def make(q, last):
        a = tensor(spread(q["in"][0]), last)
        return lambda: op(a)
    return make


def matmul(q, last):
    a, b = (torch.randn(d) for d in q["in"])
    return lambda: a @ b


OPS = {
    "conv": conv, "conv_dx": conv, "conv_dw": conv, "norm_act": norm_act, "dice_ce": dice_ce, "sgd": sgd,
    "l2_norm": l2_norm, "matmul": matmul,
    "softmax": of_one(lambda a: a.softmax(1)), "argmax": of_one(lambda a: a.argmax(1)),
    "sum": of_one(lambda a: a.sum((0, 2, 3, 4))), "exp": of_one(torch.exp), "sigmoid": of_one(torch.sigmoid),
    "leaky_relu": of_one(lambda a: f.leaky_relu(a, 0.01)),
    "nearest": of_one(lambda a: f.interpolate(a, scale_factor=2, mode="nearest-exact")),
    "slice": of_one(lambda a: a[:, :a.shape[1] // 2].clone()),
    "transpose": of_one(lambda a: a.contiguous(memory_format=torch.contiguous_format)),
    "concat": of_two(lambda a, b: torch.cat((a, b), 1)), "add": of_two(torch.add), "mul": of_two(torch.mul),
}
FLAT = {"sgd", "l2_norm", "matmul"}  # no memory formats


def timed(call):
    start = time.perf_counter()
    with torch.set_grad_enabled(call[1]):
        call[0]()
    return time.perf_counter() - start


def best_of(call):
    """Short calls are repeated, as d4m does it."""
    first = timed(call)
    return min([first] + [timed(call) for _ in range(int(min(1000, 2e-3 / max(first, 1e-7))))])


def prepare(q):
    ready.clear()
    ready["case"] = q
    for last in [False] if q["op"] in FLAT else [True] if q["op"] == "transpose" else [False, True]:
        call = OPS[q["op"]](q, last), q["gradients"]
        timed(call)
        timed(call)
        ready["ndhwc" if last else "ncdhw"] = call


def work(q):
    if q.get("op") not in OPS or (q["op"] in ("conv_dx", "conv_dw") and q["conv"]["padding"] != "zero"):
        return {"none": True}
    if ready.get("case") != q:
        prepare(q)
    times = {k: best_of(call) for k, call in ready.items() if k != "case"}
    form = min(times, key=times.get)
    return {"seconds": times[form], "form": "" if q["op"] in FLAT else form}


peer.serve(f"PyTorch {torch.__version__.split('+')[0]}", work, 0)
