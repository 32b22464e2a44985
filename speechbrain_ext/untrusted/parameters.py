"""Files with the parameters of a module, or the names of its classes."""

import torch
from safetensors.torch import load_file as load_safetensors
from speechbrain.utils import checkpoints

from speechbrain_ext.base.errors import UserError, reason
from speechbrain_ext.base.parameters import MAX_OTHER_BYTES, check_parameters

MAX_LABEL_BYTES = 100_000


def fill(module, path):
    """Fill a module, or the names of classes, from a file."""
    try:
        labels = not isinstance(module, torch.nn.Module)
        most = MAX_LABEL_BYTES if labels else 4 * _bytes(module.state_dict())
        most += 0 if labels else MAX_OTHER_BYTES
        if path.stat().st_size > most:
            raise ValueError("it is far larger than the module")
        if labels:
            return module.load(path)
        if path.suffix != ".safetensors":
            check_parameters(path)
        hooks = checkpoints.DEFAULT_TRANSFER_HOOKS
        hook = checkpoints.get_default_hook(module, hooks)
        # SpeechBrain's own leaves what the file lacks at random values.
        if hook is not checkpoints.torch_parameter_transfer:
            return hook(module, path)
        if path.suffix == ".safetensors":
            state = load_safetensors(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        if _bytes(state) > most:
            raise ValueError("its shapes are far larger than the module")
    except Exception as error:
        # Zip, pickle, torch and SpeechBrain each have their own.
        raise UserError(
            f"model: '{path}' cannot be read (damaged, incomplete, or no file "
            f"of parameters: {reason(error)}); restore "
            "the file that came with the model."
        ) from error
    bare = getattr(module, "filled", False)
    if bare:
        # A BareWav2Vec2: its parameters have no memory of their own.
        state = {key: tensor.float() for key, tensor in state.items()}
        if hasattr(module.model, "masked_spec_embed"):
            size = module.model.config.hidden_size
            state.setdefault("model.masked_spec_embed", torch.zeros(size))
    try:
        report = module.load_state_dict(state, strict=False, assign=bare)
        keys = [f"it lacks '{key}'" for key in sorted(report.missing_keys)]
        more = sorted(report.unexpected_keys)
        keys += [f"it holds '{key}', which the model has not" for key in more]
        # Of training alone.
        wrong = [x for x in keys if "masked_spec_embed'" not in x]
    except (RuntimeError, TypeError, AttributeError) as error:
        wrong = [str(error).strip().splitlines()[-1].strip(" .\t")]
    if wrong:
        raise UserError(
            f"model: '{path}' does not fit hyperparams.yaml: {wrong[0]}; use "
            "the files of one and the same model."
        )


def _bytes(state):
    """Size of tensors, were each of their values kept."""
    return sum(x.numel() * x.element_size() for x in state.values())
