"""Moonshine tiny, a speech model of 27 million parameters, by onnxruntime.

Encoder: sound to one vector of 288 numbers every 24 ms; decoder: such vectors to words. The weights come in the wheel of `moonshine-voice` (MIT),
so nothing is downloaded; up to version 0.0.73, later ones fetch them. Source: Jeffries et al., "Moonshine: Speech Recognition for
Live Transcription and Voice Commands" (arXiv 2410.15608).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orchestra_mcp.edge.acoustic.tokens import START, Tokens
from orchestra_mcp.edge.nouns import RATE
from orchestra_mcp.errors import VoiceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

FRAME: Final = 384
FRAME_S: Final = FRAME / RATE
"""Between two vectors of the encoder, in samples and in seconds."""
WIDTH: Final = 288
"""Numbers of one vector."""
SHORTEST_S: Final = 0.1
"""The encoder takes no less sound."""
PACKAGES: Final = ("moonshine_voice", "onnxruntime", "numpy")
MISSING: Final = (
    "the voice needs packages (moonshine-voice below 0.1, onnxruntime, numpy): pip install 'orchestra-council[omi]'"
)


@dataclass(frozen=True, slots=True)
class State:
    """Where the decoder stands, in one text or in several at a time."""

    logprobs: Floats
    """Natural logarithms: a row for each text, a column for each token that may come next."""
    hidden: Floats
    past: Mapping[str, Floats]


class Moonshine:
    """The model. For several threads at a time.

    Raises:
        VoiceError: a package is missing, or a file of the model.
    """

    def __init__(self) -> None:
        place = model_directory()
        self._encoder, self._decoder = session(place / "encoder_model.ort"), session(place / "decoder_model_merged.ort")
        self._past = tuple(one.name for one in self._decoder.get_inputs() if one.name.startswith("past_"))
        self._present = tuple(one.name.replace("present", "past_key_values") for one in self._decoder.get_outputs()[1:])
        self._later = tuple(one.name for one in self._decoder.get_outputs() if "encoder" not in one.name)
        self.tokens = Tokens(place / "tokenizer.bin")

    def encode(self, sound: Floats) -> Floats:
        """The features of some sound, one row every `FRAME_S`.

        Args:
            sound: 16 kHz, full scale 1; shorter than `SHORTEST_S` gives none.
        """
        import numpy as np

        if len(sound) < SHORTEST_S * RATE:
            return np.zeros((0, WIDTH), np.float32)
        given = {"input_values": sound[None].astype(np.float32), "attention_mask": np.ones((1, len(sound)), np.int64)}
        (found,) = self._encoder.run(None, given)
        return np.asarray(found[0], np.float32)

    def begin(self, hidden: Floats, beginning: Sequence[int] = ()) -> State:
        """The decoder over some features, after tokens that are taken for granted."""
        logits, past = self._step([(START, *beginning)], hidden, self._nothing(hidden), first=True)
        return State(_logprobs(logits[:, -1]), hidden, past)

    def follow(self, state: State, rows: Sequence[int], tokens: Sequence[int]) -> State:
        """The decoder one token later.

        Args:
            rows: which texts go on; one may go on in several ways.
            tokens: how, for each of these.
        """
        past = {name: one if "encoder" in name else one[list(rows)] for name, one in state.past.items()}
        logits, now = self._step([(token,) for token in tokens], state.hidden, past, first=False)
        return State(_logprobs(logits[:, -1]), state.hidden, now)

    def likelihood(self, hidden: Floats, tokens: Sequence[int]) -> tuple[float, ...]:
        """How likely each token of a text is after those before it, as natural logarithms."""
        logits, _ = self._step([(START, *tokens[:-1])], hidden, self._nothing(hidden), first=True)
        return tuple(float(row[token]) for row, token in zip(_logprobs(logits[0]), tokens, strict=True))

    def _nothing(self, hidden: Floats) -> Mapping[str, Floats]:
        """What the decoder is given for a past before its first step."""
        import numpy as np

        return {name: np.zeros((1, 8, len(hidden) if "encoder" in name else 0, 36), np.float32) for name in self._past}

    def _step(
        self, tokens: Sequence[Sequence[int]], hidden: Floats, past: Mapping[str, Floats], *, first: bool
    ) -> tuple[Floats, Mapping[str, Floats]]:
        import numpy as np

        given = {
            "input_ids": np.asarray(tokens, np.int64),
            "encoder_hidden_states": hidden[None],
            # Of samples: the decoder takes every 384th of it for a frame.
            "encoder_attention_mask": np.ones((1, len(hidden) * FRAME), np.int64),
            "use_cache_branch": np.array([not first]),
            **past,
        }
        # What it keeps of the encoder is made in the first step only, and is the same for all texts.
        logits, *present = self._decoder.run(None if first else self._later, given)
        names = self._present if first else tuple(name for name in self._present if "encoder" not in name)
        return logits, {**past, **dict(zip(names, present, strict=True))}


def _logprobs(logits: Floats) -> Floats:
    import numpy as np

    above: Floats = logits - logits.max(-1, keepdims=True)
    found: Floats = above - np.log(np.exp(above).sum(-1, keepdims=True))
    return found


@lru_cache(maxsize=1)
def moonshine() -> Moonshine:
    """The model, loaded once for all who need it (0.4 s, 150 MB).

    Raises:
        VoiceError: a package is missing, or a file of the model.
    """
    return Moonshine()


def model_directory() -> Path:
    """Where the weights are.

    Raises:
        VoiceError: a package is missing, or has no weights with it.
    """
    found = find_spec("moonshine_voice")
    if found is None or found.origin is None or not all(find_spec(name) for name in PACKAGES):
        raise VoiceError(MISSING)
    place = Path(found.origin).parent / "assets" / "tiny-en"
    if not (place / "decoder_model_merged.ort").is_file():
        raise VoiceError(MISSING)
    return place


def session(file: Path) -> Any:
    """A model that computes on one processor, without threads of its own that wait for each other.

    Raises:
        VoiceError: onnxruntime is missing, or cannot read it.
    """
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except ImportError:
        raise VoiceError(MISSING) from None
    except Exception as error:  # noqa: BLE001  (a native library over a file)
        raise VoiceError(f"the speech model cannot be loaded ({type(error).__name__}); {MISSING}") from None


def samples_of(pcm: bytes) -> Floats:
    """16-bit mono at full scale 1; half a sample at the end is left out."""
    import numpy as np

    return np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(np.float32) / np.float32(32_768)
