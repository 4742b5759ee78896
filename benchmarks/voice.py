"""How well does the voice hear? On synthetic speech through the product's own parts: packets, Opus, ear, words.

    python benchmarks/voice.py [HOME] [--split tune|final] [--only wake,false,latency,words,cpu,loss] [--clips] [--log FILE] [--jobs N]
    python benchmarks/voice.py --only words --people DIR  words of people too: recordings and an index.jsonl (`voice_spoken.py`)
    python benchmarks/voice.py --recordings DIR         your own recordings of real people, by the same code

Needs espeak-ng, flite and sox (apt-get install espeak-ng flite sox) and the extra `omi`. The clips are made on the first run, the
same every time, and kept under HOME/voice (HOME: the argument, else ORCHESTRA_BENCH, else a directory for temporary files);
`voice_clips.py` says how. `final` shares no voice, no near-miss phrase and no stretch of noise with `tune`, on which the
spotter's bounds were chosen, and its sounds were trained on none of the voices of `final`: run it once, and not to choose between two
ways; before the spotter is measured anew, `final` is drawn anew (`voice_texts.py`, VERSION). festival's two voices (apt-get install
festival festvox-kdlpc16k festvox-us-slt-hts) are measured apart where they are there.

Every sound is synthetic, so these are figures of regression, not of people; `voice_people.py` measures on recordings of people. To measure
yourself: record WAV files of any rate, one wake phrase each in `wake_*.wav` ("hey orchestra, …", half a second of quiet before it), and
speech without the phrase, long or short, in `other_*.wav`; then `--recordings DIR`. They are sent through the codec of the device and
the same parts. Nothing is stored or sent anywhere.

Every clip's parameters and when it woke go to a file of JSON lines (--log; HOME/voice/heard-SPLIT.jsonl), and with --clips to the
screen. Intervals are of 95 %: Wilson's of shares, Garwood's of counts.
"""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path

import voice_measures as measures
import voice_stress as stress
from voice_clips import Condition, folder
from voice_hearing import Bench, log_file
from voice_speech import missing_festival

PARTS = ("wake", "false", "latency", "words", "cpu", "loss")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", nargs="?", type=Path, help="directory for the clips")
    parser.add_argument("--split", choices=("tune", "final"), default="tune", help="which clips (tune)")
    parser.add_argument("--only", default=",".join(PARTS), help="which parts")
    parser.add_argument("--phrase", default="hey orchestra", help="the wake phrase of recordings")
    parser.add_argument("--sensitivity", type=float, default=0.5, help="as in settings (0.5)")
    parser.add_argument("--recordings", type=Path, help="directory of wake_*.wav and other_*.wav")
    parser.add_argument("--people", type=Path, help="directory of recordings and their texts, for words")
    parser.add_argument("--clips", action="store_true", help="print each clip's parameters")
    parser.add_argument("--log", type=Path, help="file of JSON lines, one a clip")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    args = parser.parse_args()
    parts = args.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"--only knows {', '.join(PARTS)}, not {', '.join(sorted(unknown))}")
    log = args.log or log_file(args.home, args.split)
    log.unlink(missing_ok=True)
    bench = Bench(args.split, args.home, args.phrase, args.sensitivity, args.jobs, log, args.clips)
    if args.recordings:
        measures.show_recordings(bench, args.recordings)
        return
    print(
        f"Split {args.split}, all of it synthetic; sensitivity {args.sensitivity}; Python {platform.python_version()}; clips in {folder(args.home)}"
    )
    if "wake" in parts:
        measures.show_wake(bench)
        if args.split == "final" and not missing_festival():
            measures.show_wake(bench, "festival")
    if "latency" in parts:
        measures.show_latency(bench)
    if "false" in parts:
        measures.show_false(bench)
    if "words" in parts:
        from voice_spoken import show_words

        conditions: tuple[Condition, ...] = ("quiet", "20dB")
        show_words(bench, conditions, args.people)
    if "cpu" in parts:
        stress.show_cpu(bench)
    if "loss" in parts:
        stress.show_loss(bench)
    print(f"\nEach clip: {log}", file=sys.stderr)


if __name__ == "__main__":
    main()
