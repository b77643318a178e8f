"""nnU-Net v2's own prediction of the case in --folder (case_0000.nii.gz to case_0003.nii.gz), random weights: reading,
preprocessing, sliding window, export, writing. Python's start and the making of the network do not count."""
import os
import time

import peer

o = peer.options(
    ("--net", dict(choices=["nnunet", "nnunet-residual"], default="nnunet")),
    ("--folder", dict(required=True)),
    ("--patch", dict(type=int, nargs=3, default=[96, 96, 96])),
    ("--spacing", dict(type=float, nargs=3, default=[1, 1, 1])),
    ("--stages", dict(type=int, default=5)),
    ("--features", dict(type=int, default=32)),
    ("--mirror", dict(action="store_true")),
    ("--compile", dict(action="store_true")),
)
torch, predict, handler = peer.need("torch", "nnunetv2.inference.predict_from_raw_data",
                                    "nnunetv2.utilities.plans_handling.plans_handler")
torch.set_num_threads(o.threads)
torch.manual_seed(0)

residual = o.net == "nnunet-residual"
blocks = ([1, 3, 4] + [6] * o.stages)[:o.stages] if residual else [2] * o.stages
arguments = {
    "n_stages": o.stages, "features_per_stage": [min(o.features << s, 10 * o.features) for s in range(o.stages)],
    "conv_op": "torch.nn.modules.conv.Conv3d", "kernel_sizes": [[3, 3, 3]] * o.stages,
    "strides": [[1, 1, 1]] + [[2, 2, 2]] * (o.stages - 1),
    "n_blocks_per_stage" if residual else "n_conv_per_stage": blocks,
    "n_conv_per_stage_decoder": [1 if residual else 2] * (o.stages - 1), "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d", "norm_op_kwargs": {"eps": 1e-5, "affine": True},
    "dropout_op": None, "dropout_op_kwargs": None, "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
}
resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
configuration = {
    "data_identifier": "bench", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2, "patch_size": o.patch,
    "spacing": o.spacing, "normalization_schemes": ["CTNormalization"] * 4, "use_mask_for_norm": [False] * 4,
    "resampling_fn_data": "resample_data_or_seg_to_shape", "resampling_fn_data_kwargs": resampling,
    "resampling_fn_seg": "resample_data_or_seg_to_shape",
    "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
    "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
    "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
    "batch_dice": False,
    "architecture": {
        "network_class_name": "dynamic_network_architectures.architectures.unet."
                              + ("ResidualEncoderUNet" if residual else "PlainConvUNet"),
        "arch_kwargs": arguments, "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    },
}
hu = {"mean": 60.0, "std": 60.0, "percentile_00_5": -21.0, "percentile_99_5": 189.0}
plans = handler.PlansManager({
    "dataset_name": "Dataset000_bench", "plans_name": "nnUNetPlans", "image_reader_writer": "SimpleITKIO",
    "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2], "experiment_planner_used": "ExperimentPlanner",
    "label_manager": "LabelManager", "configurations": {"3d_fullres": configuration},
    "foreground_intensity_properties_per_channel": {str(i): hu for i in range(4)},
})
dataset = {"channel_names": {str(i): "CT" for i in range(4)}, "labels": {"background": 0, "liver": 1, "tumour": 2},
           "file_ending": ".nii.gz", "numTraining": 1}

from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

made = plans.get_configuration("3d_fullres")
network = get_network_from_plans(made.network_arch_class_name, made.network_arch_init_kwargs,
                                 made.network_arch_init_kwargs_req_import, 4, 3, deep_supervision=False)
if o.compile:
    os.environ["nnUNet_compile"] = "t"  # nnU-Net's own switch
predictor = predict.nnUNetPredictor(use_mirroring=o.mirror, device=torch.device("cpu"), allow_tqdm=False)
predictor.manual_initialization(network, plans, made, [network.state_dict()], dataset, "nnUNetTrainer", (0, 1, 2))
images = [os.path.join(o.folder, f"case_{i:04d}.nii.gz") for i in range(4)]
mask = os.path.join(o.folder, "peer")


def work(_):
    start = time.perf_counter()
    predictor.predict_from_files_sequential([images], [mask])
    seconds = time.perf_counter() - start
    for name in ("peer.nii.gz", "dataset.json", "plans.json", "predict_from_raw_data_args.json"):
        if os.path.exists(os.path.join(o.folder, name)):
            os.remove(os.path.join(o.folder, name))
    return seconds


with torch.inference_mode():  # compile, and touch memory
    predictor.network.eval()
    predictor.network(torch.zeros(1, 4, *o.patch))
peer.serve(f"nnU-Net {peer.version('nnunetv2')} {'compiled' if o.compile else 'eager'}", work, o.rounds)
