"""Step 3: the network. `python training/sounds/train.py WORK` writes WORK/sounds.onnx; tells after each round the share of wrong sounds in
clips that were kept apart.
"""

from __future__ import annotations

import pickle
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

WIDTH, FRAMES, OUTPUTS = 96, 5, 40
ROUNDS, BATCH, RATE = 12, 64, 3e-3
"""A round goes over one copy of each clip."""
FIRST, LEFT_OUT = "07000", 0.75
"""Of the clips before this one that begin with the phrase so many are left out: the network should not expect it."""
DROPPED = 0.05
"""Of the features, in seven of ten batches, so that it does not depend on few of them."""

Item = tuple[str, int, Any, Any]


class Network(nn.Module):
    """As `orchestra_mcp/edge/acoustic/sounds.py` runs it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(288)
        self.narrow = nn.Linear(288, WIDTH)
        self.near = nn.Conv1d(WIDTH, WIDTH, FRAMES, padding=FRAMES // 2)
        self.out = nn.Linear(WIDTH, OUTPUTS)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        narrow = torch.relu(self.narrow(self.norm(hidden)))
        near = torch.relu(self.near(narrow.transpose(1, 2)).transpose(1, 2)) + narrow
        return torch.log_softmax(self.out(near), -1)


def stored(network: Network) -> Any:
    """The network as ONNX, its weights in 16 bits."""
    weights = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    weights |= {name: weights[name].T for name in ("narrow.weight", "out.weight")}
    kept = [numpy_helper.from_array(np.ascontiguousarray(w, np.float16), f"{name} kept") for name, w in weights.items()]

    def node(kind: str, *given: str, out: str, **how: Any) -> Any:
        return helper.make_node(kind, list(given), [out], **how)

    nodes = [node("Cast", f"{name} kept", out=name, to=TensorProto.FLOAT) for name in weights]
    nodes += [
        node("LayerNormalization", "hidden", "norm.weight", "norm.bias", out="even", axis=-1, epsilon=1e-5),
        node("MatMul", "even", "narrow.weight", out="product"),
        node("Add", "product", "narrow.bias", out="sum"),
        node("Relu", "sum", out="narrow"),
        node("Transpose", "narrow", out="columns", perm=[0, 2, 1]),
        node("Conv", "columns", "near.weight", "near.bias", out="folded", pads=[FRAMES // 2, FRAMES // 2]),
        node("Relu", "folded", out="positive"),
        node("Transpose", "positive", out="rows", perm=[0, 2, 1]),
        node("Add", "rows", "narrow", out="near"),
        node("MatMul", "near", "out.weight", out="last"),
        node("Add", "last", "out.bias", out="logits"),
        node("LogSoftmax", "logits", out="logprobs", axis=-1),
    ]
    given = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["batch", "frames", 288])
    found = helper.make_tensor_value_info("logprobs", TensorProto.FLOAT, ["batch", "frames", OUTPUTS])
    graph = helper.make_graph(nodes, "sounds", [given], [found], kept)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def batch(items: list[Item]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    hidden = nn.utils.rnn.pad_sequence([torch.from_numpy(one[2]) for one in items], batch_first=True).float()
    lengths = torch.tensor([len(one[2]) for one in items])
    said = torch.from_numpy(np.concatenate([one[3] for one in items]).astype(np.int64))
    return hidden, lengths, said, torch.tensor([len(one[3]) for one in items])


def wrong(network: Network, items: list[Item]) -> float:
    """Share of sounds that are put in, left out or taken for others."""
    errors = total = 0
    with torch.no_grad():
        for at in range(0, len(items), BATCH):
            some = items[at : at + BATCH]
            best = network(batch(some)[0]).argmax(-1).numpy()
            for row, (_, _, hidden, said) in zip(best, some, strict=True):
                row = row[: len(hidden)]
                heard = [one for place, one in enumerate(row) if one and (place == 0 or row[place - 1] != one)]
                errors += distance(heard, list(said))
                total += len(said)
    return errors / max(1, total)


def distance(one: list[int], other: list[int]) -> int:
    """Levenshtein."""
    row = list(range(len(other) + 1))
    for at, sound in enumerate(one, 1):
        last, row[0] = row[0], at
        for column, there in enumerate(other, 1):
            last, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, last + (sound != there))
    return row[-1]


def main() -> None:
    work = Path(sys.argv[1])
    torch.manual_seed(0)
    dice = random.Random(0)
    with (work / "features.pkl").open("rb") as file:
        items: list[Item] = pickle.load(file)
    texts = {file.name: str(np.load(file)["text"]) for file in (work / "speech").glob("*.npz") if file.name < FIRST}
    left_out = {name for name in sorted(texts) if texts[name].startswith("hey orchestra") and dice.random() < LEFT_OUT}
    names = sorted({name for name, *_ in items} - left_out)
    apart = set(dice.sample(names, len(names) // 25))
    train = [one for one in items if one[0] not in apart and one[0] not in left_out]
    checked = [one for one in items if one[0] in apart]
    network = Network()
    best = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-2)
    pace = torch.optim.lr_scheduler.OneCycleLR(best, RATE, ROUNDS * (len(train) // 2 // BATCH + 2))
    for number in range(ROUNDS):
        order = sorted((one for one in train if one[1] == number % 2), key=lambda one: len(one[2]) + dice.random() * 20)
        batches = [order[at : at + BATCH] for at in range(0, len(order), BATCH)]
        dice.shuffle(batches)
        for some in batches:
            hidden, lengths, said, counts = batch(some)
            if dice.random() < 0.7:
                hidden = hidden * (torch.rand(len(some), 1, hidden.shape[2]) > DROPPED)
            loss = nn.functional.ctc_loss(network(hidden).transpose(0, 1), said, lengths, counts, zero_infinity=True)
            best.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            best.step()
            pace.step()
        network.eval()
        print(f"round {number + 1}: {wrong(network, checked):.3f} of the sounds are wrong", flush=True)
        network.train()
        onnx.save(stored(network), work / "sounds.onnx")


if __name__ == "__main__":
    main()
