#!/usr/bin/env python3
"""Makes tests/data/recipes/: what timm and torch compute for optimizers, schedules and layer-wise learning rate decay.

    python3 tests/data/make_recipe_reference.py     (needs torch, timm and safetensors; the files in the tree were made
                                                     with versions 2.13, 1.0.31 and 0.8)

optimizers.safetensors   "weight" [3, 5] and "bias" [5] to begin with, their "weight_gradients" and "bias_gradients" of 20
                         steps, the steps' "rates"; "CASE.weight" and "CASE.bias" after each step. All float64. Weight decay
                         0.1 on the weight, none on the bias.
schedules.safetensors    by case, the learning rate of each update (float64)
layer_decay.safetensors  "MODEL/PARAMETER": the factor of its learning rate for a layer_decay of 0.75 (float64)
"""

import pathlib

import safetensors.torch
import timm
import timm.optim
import timm.scheduler
import torch

OUT = pathlib.Path(__file__).parent / "recipes"
STEPS = 20


def optimizers():
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    tensors = {
        "weight": draw(3, 5), "bias": draw(5), "weight_gradients": draw(STEPS, 3, 5), "bias_gradients": draw(STEPS, 5),
        "rates": torch.linspace(0.02, 0.001, STEPS, dtype=torch.float64),
    }
    cases = {
        "lamb": lambda groups: timm.optim.Lamb(groups, lr=0.1, betas=(0.9, 0.99), eps=1e-6, max_grad_norm=None),
        "lamb_always_adapt": lambda groups: timm.optim.Lamb(
            groups, lr=0.1, betas=(0.9, 0.99), eps=1e-6, max_grad_norm=None, always_adapt=True),
        "lion": lambda groups: timm.optim.Lion(groups, lr=0.1, betas=(0.9, 0.99)),
    }
    for name, make in cases.items():
        weight = torch.nn.Parameter(tensors["weight"].clone())
        bias = torch.nn.Parameter(tensors["bias"].clone())
        optimizer = make([{"params": [weight], "weight_decay": 0.1}, {"params": [bias], "weight_decay": 0.0}])
        weights, biases = [], []
        for step in range(STEPS):
            weight.grad, bias.grad = tensors["weight_gradients"][step], tensors["bias_gradients"][step]
            for group in optimizer.param_groups:
                group["lr"] = tensors["rates"][step].item()
            optimizer.step()
            weights.append(weight.detach().clone())
            biases.append(bias.detach().clone())
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = torch.stack(weights), torch.stack(biases)
    return tensors


def timm_rates(make, total):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    scheduler = make(optimizer)
    rates = []
    for update in range(total):
        scheduler.step_update(update)
        rates.append(optimizer.param_groups[0]["lr"])
    return torch.tensor(rates, dtype=torch.float64)


def torch_rates(make, total):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    scheduler = make(optimizer)
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return torch.tensor(rates, dtype=torch.float64)


def schedules():
    cosine, poly, step = (timm.scheduler.CosineLRScheduler, timm.scheduler.PolyLRScheduler,
                          timm.scheduler.StepLRScheduler)
    warmup = dict(warmup_t=10, warmup_prefix=True, t_in_epochs=False)
    lr = torch.optim.lr_scheduler
    return {
        "cosine": timm_rates(lambda o: cosine(o, 100, lr_min=1e-5, **warmup), 110),
        "cosine_warmup_start": timm_rates(lambda o: cosine(o, 100, lr_min=1e-5, warmup_lr_init=1e-4, **warmup), 110),
        "cosine_cycles": timm_rates(
            lambda o: cosine(o, 40, lr_min=1e-5, cycle_limit=3, cycle_decay=0.5, **warmup), 130),
        "linear": timm_rates(lambda o: poly(o, 90, power=1, lr_min=1e-6, **warmup), 100),
        "polynomial": timm_rates(lambda o: poly(o, 90, power=2, lr_min=1e-6, **warmup), 100),
        "polynomial_root": timm_rates(lambda o: poly(o, 90, power=0.5, lr_min=1e-6, **warmup), 100),
        "step_timm": timm_rates(
            lambda o: step(o, 30, decay_rate=0.1, warmup_t=5, warmup_prefix=False, t_in_epochs=False), 100),
        "step_torch": torch_rates(lambda o: lr.StepLR(o, 30, gamma=0.5), 100),
        "milestones_torch": torch_rates(lambda o: lr.MultiStepLR(o, [30, 60, 80], gamma=0.1), 100),
    }


def layer_decay():
    vit = dict(img_size=32, patch_size=4, embed_dim=24, depth=3, num_heads=2, num_classes=10)
    models = {
        "vit": timm.models.vision_transformer.VisionTransformer(**vit, reg_tokens=2, init_values=0.1),
        "vit_avg_pre_norm": timm.models.vision_transformer.VisionTransformer(
            **vit, class_token=False, global_pool="avg", pre_norm=True),
        "deit_distilled": timm.models.deit.VisionTransformerDistilled(**vit),
    }
    scales = {}
    for name, model in models.items():
        names = {id(parameter): key for key, parameter in model.named_parameters()}
        for group in timm.optim.param_groups_layer_decay(model, layer_decay=0.75):
            for parameter in group["params"]:
                scales[f"{name}/{names[id(parameter)]}"] = torch.tensor([group["lr_scale"]], dtype=torch.float64)
    return scales


def main():
    OUT.mkdir(exist_ok=True)
    for name, make in {"optimizers": optimizers, "schedules": schedules, "layer_decay": layer_decay}.items():
        safetensors.torch.save_file(make(), OUT / f"{name}.safetensors")


if __name__ == "__main__":
    main()
