"""Recordings of people for `voice_people.py`, out of packages that anybody can download.

    mkdir debs; cd debs
    apt-get download asterisk-core-sounds-en-g722 beneath-a-steel-sky drascula flight-of-the-amazon-queen pocketsphinx-testdata
    apt-get source --download-only scummvm              # for the texts of sky (needs a deb-src line)
    cd …; python benchmarks/people_make.py debs [PEOPLE]

It writes WAV files of 16 kHz, a folder for each source, and `index.jsonl` into PEOPLE (else ORCHESTRA_BENCH/people), and downloads
nothing itself; a package that is missing is named and left out. Needs dpkg-deb, sox with MP3 (apt-get install sox libsox-fmt-mp3)
and ffmpeg (for G.722). The sound of each source is that of its package:

| source | package, who made it | licence | texts |
|---|---|---|---|
| sky | beneath-a-steel-sky; Revolution Software Ltd | Beneath a Steel Sky licence (free to distribute and modify, not sold alone) | of the game; need ScummVM's source |
| queen | flight-of-the-amazon-queen; John Passfield, Steven Stamatiadis | Flight of the Amazon Queen licence (the same) | of the game |
| asterisk-en | asterisk-core-sounds-en-g722; Allison Smith, Digium | CC-BY-SA-3.0 | upstream's list `core-sounds-en.txt`, which is not in the package: put it into debs. A copy is in github.com/JessicaMulein/asterisk-custom-poly-sounds (commit 06c217d) |
| drascula | drascula; Alcachofa Soft S.L. | Drascula licence (the same as sky's in kind) | of the game, doubtful |
| pocketsphinx | pocketsphinx-testdata; Carnegie Mellon University, LibriVox | BSD-2-clause | in the package, of some |
| moonshine | the wheel moonshine-voice, which extra `omi` installs; Moonshine AI | MIT | Dickens, Beckett |

Nothing of it is part of this project. A source without texts is only other talk. All of it is English: 7.6 hours in 11,481 files,
queen 4.4, sky 2.0, drascula .8, asterisk-en .4. `voice.py --people PEOPLE` takes the same folder.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from people_queen import queen
from people_sky import sky
from people_sources import G722, RAW16, Clip, Reader, asterisk, drascula, moonshine, pocketsphinx

from orchestra_mcp.edge.acoustic.moonshine import model_directory

PACKAGES: dict[str, Reader] = {
    "beneath-a-steel-sky": sky,
    "flight-of-the-amazon-queen": queen,
    "asterisk-core-sounds-en-g722": asterisk,
    "drascula": drascula,
    "pocketsphinx-testdata": pocketsphinx,
}
SHORTEST_S = 0.15


def folder(home: str | os.PathLike[str] | None = None) -> Path:
    """Where the recordings are kept."""
    return Path(
        home or Path(os.environ.get("ORCHESTRA_BENCH") or Path(tempfile.gettempdir()) / "orchestra-bench") / "people"
    )


def converted(clip: Clip, out: Path) -> dict[str, object]:
    """Writes a clip as WAV; its row of the index."""
    path, kind, data = out / clip.source / f"{clip.name}.wav", clip.kind, clip.data
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == G722:
        asked = ["ffmpeg", "-v", "error", "-f", "g722", "-i", "-", "-f", "s16le", "-ar", "16000", "-"]
        data, kind = subprocess.run(asked, input=data, capture_output=True, check=True).stdout, RAW16
    to = ["-t", "wav", "-r", "16000", "-e", "signed", "-b", "16", "-c", "1", str(path)]
    subprocess.run(["sox", "-V1", "-R", "-G", *kind, "-", *to], input=data, check=True)
    seconds = round((path.stat().st_size - 44) / 32_000, 3)
    row: dict[str, object] = {"file": f"{clip.source}/{path.name}", "source": clip.source, "speaker": clip.speaker}
    return row | {"text": clip.text, "seconds": seconds, "licence": clip.licence}


def _made(what: str, clips: Iterable[Clip], out: Path, pool: ProcessPoolExecutor) -> list[dict[str, object]]:
    every = list(clips)
    rows = list(pool.map(converted, every, [out] * len(every), chunksize=8))
    kept = [row for row in rows if float(str(row["seconds"])) > SHORTEST_S]
    hours, told = sum(float(str(row["seconds"])) for row in kept) / 3600, sum(bool(row["text"]) for row in kept)
    print(f"{what}: {len(kept)} files, {told} with text, {hours:.2f} h", flush=True)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("debs", type=Path, help="folder of what was downloaded")
    parser.add_argument("people", nargs="?", type=Path, help="where the recordings go")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    args = parser.parse_args()
    out, rows = folder(args.people), list[dict[str, object]]()
    out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(args.jobs) as pool:
        for package, read in PACKAGES.items():
            found = sorted(args.debs.glob(f"{package}_*.deb"))
            if not found:
                print(f"not in {args.debs}: apt-get download {package}", file=sys.stderr)
                continue
            with tempfile.TemporaryDirectory() as tree:
                subprocess.run(["dpkg-deb", "-x", str(found[-1]), tree], check=True)
                rows += _made(found[-1].name, read(Path(tree), args.debs), out, pool)
        rows += _made("moonshine-voice", moonshine(model_directory().parent, args.debs), out, pool)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (out / "index.jsonl").write_text("".join(lines), encoding="utf-8")
    if not any(row["source"] == "sky" and row["text"] for row in rows):
        print("no texts of sky: apt-get source --download-only scummvm", file=sys.stderr)


if __name__ == "__main__":
    main()
