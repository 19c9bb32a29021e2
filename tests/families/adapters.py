"""Makes the adapters of `tests/families/adapters`, and the reference results of peft.

Environment: that of `generate.py`, with peft==0.21.*.

    .venv/bin/python tests/families/adapters.py

Each folder has an adapter as peft saves it, whose base is one of `tests/families/models`, and the truth of
the merged model in float64, in the files that `generate.py` describes. peft computes the same from the
unmerged model, up to rounding, or the script stops.
"""

import json
import pathlib
import shutil

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

import generate

ADAPTERS = pathlib.Path(__file__).parent / "adapters"

# Name: base model, and what `peft.LoraConfig` gets.
CASES = {
    # Conv1D stores its weights transposed; `c_proj` is square, so its shape does not tell.
    "gpt2-patterns": (
        "gpt2",
        dict(
            r=3, lora_alpha=6, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True, bias="all",
            rank_pattern={"c_fc": 5}, alpha_pattern={"h.1.attn.c_attn": 2, "c_fc": 15},
        ),
    ),
    "gpt2-dora": ("gpt2", dict(r=2, lora_alpha=3, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True, use_dora=True)),
    "llama-rank-stabilized": ("llama", dict(r=4, lora_alpha=5, target_modules="all-linear", use_rslora=True)),
    "llama-dora": ("llama", dict(r=4, lora_alpha=4, target_modules=["q_proj", "v_proj", "down_proj"], use_dora=True)),
    "llama-whole-head": (
        "llama", dict(r=2, lora_alpha=4, target_modules=["k_proj", "embed_tokens"], modules_to_save=["lm_head", "norm"])),
    "bart": ("bart", dict(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj", "fc2"], bias="lora_only")),
    "mt5": ("mt5", dict(r=2, lora_alpha=4, target_modules=["q", "wi_0", "wo"], task_type="SEQ_2_SEQ_LM")),
}


def make(name, base, options):
    folder = ADAPTERS / name
    shutil.rmtree(folder, ignore_errors=True)
    with generate.exact_tables():
        model = load(base)
        torch.manual_seed(generate.SEED_OF_WEIGHTS)
        adapted = peft.get_peft_model(model, peft.LoraConfig(init_lora_weights=False, **options))
        with torch.no_grad():
            for parameter in adapted.parameters():
                if parameter.requires_grad:
                    change = 0.1 * torch.randn(parameter.shape)
                    parameter.copy_((parameter + change).bfloat16())
        adapted.save_pretrained(folder)
        (folder / "README.md").unlink()
        tidy(folder, base)
        adapted = peft.PeftModel.from_pretrained(load(base), folder).double().eval()
        generate.keep_angles_single(adapted)
        is_encoder_decoder = adapted.config.is_encoder_decoder
        with generate.in_double_precision():
            unmerged, _ = generate.truth(adapted.base_model.model, is_encoder_decoder)
            tensors, sequences = generate.truth(adapted.merge_and_unload(), is_encoder_decoder)
    for key, value in tensors.items():
        error = (value - unmerged[key]).abs().max() / value.abs().max()
        assert error < 1e-12, (name, key, error)
    save_file(tensors, folder / "reference.safetensors")
    (folder / "reference.json").write_text(json.dumps(dict(sequences=sequences), indent=1) + "\n")
    print(f"{name}: {sum(f.stat().st_size for f in folder.iterdir()) / 1000:.0f} kB")


def load(base):
    folder = generate.MODELS / base
    config = transformers.AutoConfig.from_pretrained(folder)
    auto = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    model = auto.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    model.generation_config = transformers.GenerationConfig(
        pad_token_id=0, eos_token_id=None, bos_token_id=1, decoder_start_token_id=generate.START
    )
    return model


def tidy(folder, base):
    """Names the base by a path relative to the adapter, and stores the tensors in bfloat16, which loses nothing."""
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = f"../../models/{base}"
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    assert all(torch.equal(v, v.bfloat16().float()) for v in tensors.values())
    save_file({k: v.bfloat16() for k, v in tensors.items()}, path, metadata={"format": "pt"})


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    for case, (base, options) in CASES.items():
        make(case, base, options)
