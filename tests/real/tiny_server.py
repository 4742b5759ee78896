"""`transformers serve` with a tiny model of random weights, made here: a child process of `test_real_upstream.py`.

    python tests/real/tiny_server.py DIRECTORY PORT

DIRECTORY becomes a Hugging Face cache with one model in it, so nothing is downloaded. The model's words are whole words
and its chat template adds nothing but one word for each role, so that tokens can be counted by hand; it never ends of
its own accord. The heavy libraries are imported by name, since the checks run where they are not installed.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

MODEL = "orchestra/tiny"
REVISION = "0123456789abcdef0123456789abcdef01234567"
SPECIAL = ["<system>", "<user>", "<assistant>", "<pad>"]
WORDS = "the lock is held by a thread that waits for another one and nobody gives it back in time so all of them stop why".split()
TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>"
    "{% if m['content'] is string %} {{ m['content'] }}"
    "{% else %}{% for part in m['content'] %} {{ part['text'] }}{% endfor %}{% endif %}{% endfor %}<assistant>"
)


def make(cache: Path) -> None:
    """Lay the model out as `huggingface_hub` keeps what it has downloaded."""
    root = cache / f"models--{MODEL.replace('/', '--')}"
    place = root / "snapshots" / REVISION
    place.mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(REVISION)

    tokenizers: Any = import_module("tokenizers")
    models: Any = import_module("tokenizers.models")
    whole = tokenizers.Tokenizer(models.BPE())
    bytewise = import_module("tokenizers.pre_tokenizers").ByteLevel
    whole.pre_tokenizer = bytewise(add_prefix_space=False)
    whole.decoder = import_module("tokenizers.decoders").ByteLevel()
    trainer = import_module("tokenizers.trainers").BpeTrainer(
        vocab_size=2000, initial_alphabet=bytewise.alphabet(), special_tokens=SPECIAL, show_progress=False
    )
    whole.train_from_iterator([f" {word}" for word in WORDS] * 4, trainer)
    vocabulary: dict[str, int] = whole.get_vocab()
    spoken = {vocabulary[f"Ġ{word}"] for word in WORDS}  # Ġ is how a byte-level vocabulary writes a space
    transformers: Any = import_module("transformers")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=whole,
        pad_token="<pad>",
        additional_special_tokens=SPECIAL[:3],
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.save_pretrained(str(place))

    torch: Any = import_module("torch")
    torch.manual_seed(7)
    config = transformers.LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=1_000_000,
        bos_token_id=None,
        eos_token_id=None,
        initializer_range=1.0,  # with the usual one it says the same word for ever
        pad_token_id=vocabulary["<pad>"],
    )
    model = transformers.LlamaForCausalLM(config)
    model.generation_config.suppress_tokens = sorted(set(vocabulary.values()) - spoken)
    model.save_pretrained(str(place))
    assert json.loads((place / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]


def main() -> None:
    directory, port = Path(sys.argv[1]), sys.argv[2]
    cache = directory / "hub"
    os.environ |= {
        "HF_HOME": str(directory),
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }
    make(cache)
    sys.argv = ["transformers", "serve", MODEL, "--host", "127.0.0.1", "--port", port, "--device", "cpu"]
    import_module("transformers.cli.transformers").main()


if __name__ == "__main__":
    main()
