"""Speech to text costs money: what a recording costs at most, what is booked, and that budgets and limits hold.

Prices are those of the vendors' pages (named at each); sums are worked out by hand in the comments.
"""

from __future__ import annotations

import io
import json
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import openai
import pytest
from anyio.abc import SocketAttribute, SocketStream
from webdoor import Vendor, door
from webdoor import told as webtold

from orchestra_mcp.errors import BudgetExceeded
from orchestra_mcp.gateway import open_http
from orchestra_mcp.gateway.money.budgets import Budgets, WindowSpent
from orchestra_mcp.gateway.money.ledger import Ledger
from orchestra_mcp.gateway.money.speech import (
    CEILING,
    Tariff,
    at_most,
    seconds_at_most,
    seconds_usual,
    tariff_of,
    told,
)
from orchestra_mcp.gateway.money.throttle import OwnLimit, Throttle
from orchestra_mcp.gateway.provider import Caller
from orchestra_mcp.gateway.transcription import Transcribing, Transcript, TranscriptionRequest
from orchestra_mcp.settings import Budget, Keys, Limits, ModelSpec, PriceRow, RateLimit
from orchestra_mcp.store import open_store
from orchestra_mcp.types import CallRecord

MP3 = b"\xff\xfb" + bytes(59_998)
"""60,000 bytes: 60 s at 8 kbit/s."""


def wav(seconds: float, hertz: int = 16_000) -> bytes:
    """A recording of silence, 16 bits, one channel."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(hertz)
        file.writeframes(bytes(int(seconds * hertz) * 2))
    return out.getvalue()


# ------------------------------------------------------------------------------------------------ how long, how dear


def test_how_long_a_recording_is_at_most() -> None:
    assert seconds_at_most(wav(2.5)) == 2.5
    assert seconds_at_most(wav(1, 44_100)) == 1
    assert seconds_at_most(MP3) == 60
    assert seconds_usual(MP3) == 7.5  # at 64 kbit/s
    assert seconds_at_most(bytes(20_000_000)) == 4 * 3600
    assert seconds_at_most(b"") == 0


def test_a_wav_file_that_cannot_be_believed_counts_by_its_size() -> None:
    compressed = bytearray(wav(1))
    compressed[20:22] = (0x11).to_bytes(2, "little")  # IMA ADPCM
    assert seconds_at_most(bytes(compressed)) == len(compressed) / 1_000
    quick = bytearray(wav(1))
    quick[24:32] = b"\xff" * 8  # four thousand million samples a second
    assert seconds_at_most(bytes(quick)) == len(quick) / 1_000
    still = bytearray(wav(1))
    still[24:32] = bytes(8)
    assert seconds_at_most(bytes(still)) == len(still) / 1_000
    streamed = bytearray(wav(2))
    streamed[40:44] = bytes(4)  # writers of streams leave the size open
    assert seconds_at_most(bytes(streamed)) == 2
    assert seconds_at_most(wav(1)[:40]) == 0.04


def test_prices_by_the_minute_and_by_tokens() -> None:
    def at(base: str, model: str, **more: Any) -> Tariff | None:
        return tariff_of(ModelSpec(base_url=base, model=model, **more))

    # https://platform.openai.com/docs/pricing: $0.006 a minute; https://groq.com/pricing: $0.111 an hour
    assert at("https://api.openai.com/v1", "whisper-1") == Tariff(Decimal("0.006"))
    groq = at("https://api.groq.com/openai/v1", "whisper-large-v3")
    assert groq is not None
    assert at_most(groq, 3600) == pytest.approx(Decimal("0.111"))
    # $6 for sound, $2.50 for text, $10 for output: 600 tokens of each a minute are $0.0096
    assert at("https://api.openai.com/v1", "gpt-4o-transcribe") == Tariff(
        Decimal("0.0096"), Decimal(6), Decimal("2.5"), Decimal(10)
    )
    assert at("https://llm.example.com/v1", "whisper-1") is None
    assert at("http://127.0.0.1:1/v1", "whisper-1") == Tariff(Decimal(0))
    row = PriceRow(vendor="*", model="whisper*", input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(2))
    own = tariff_of(ModelSpec(base_url="https://llm.example.com/v1", model="whisper-1"), (row,))
    assert own == Tariff(Decimal("0.0018"), Decimal(1), Decimal(1), Decimal(2))


def test_what_a_reply_tells() -> None:
    # https://platform.openai.com/docs/api-reference/audio/json-object
    tokens = {
        "type": "tokens",
        "input_tokens": 14,
        "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
        "output_tokens": 45,
        "total_tokens": 59,
    }
    by_tokens = Tariff(Decimal("0.0096"), Decimal(6), Decimal("2.5"), Decimal(10))
    usage, cost = told(json.dumps({"text": "x", "usage": tokens}).encode(), by_tokens)
    assert (usage.input_tokens, usage.output_tokens) == (14, 45)
    assert cost == Decimal("0.00052")  # 10 · 6 + 4 · 2.5 + 45 · 10 = 520 millionths
    by_minute = Tariff(Decimal("0.006"))
    spoken = json.dumps({"text": "x", "usage": {"type": "duration", "seconds": 9}}).encode()
    assert told(spoken, by_minute)[1] == Decimal("0.0009")
    verbose = json.dumps({"text": "x", "duration": "8.47"}).encode()
    assert told(verbose, by_minute)[1] == Decimal("0.000847")
    assert told(json.dumps({"usage": {"cost": 0.25}}).encode(), None)[1] == Decimal("0.25")
    for strange in (b"1\n00:00 --> x", b"[]", b'{"usage": 3}', b'{"usage": {"seconds": -1}}', b'{"duration": "nan"}'):
        assert told(strange, by_minute)[1] is None


# ------------------------------------------------------------------------------------------------ budgets and limits


@asynccontextmanager
async def transcribing(
    home: Path, url: str, records: list[CallRecord], spec: Any = None, **more: Any
) -> AsyncIterator[Any]:
    given = {"base_url": f"{url}/v1", "model": "whisper-1", "provider": "vendor", **(spec or {})}

    async def targets(_name: str, _caller: Caller) -> Sequence[tuple[str, ModelSpec]]:
        return [("speech", ModelSpec(**given))]

    async with open_store(home) as store, open_http() as http:
        there = Transcribing(targets, Keys({}), Limits(), http, on_call=records.append, purse=store.purses, **more)

        async def ask(audio: bytes = MP3, key: str = "ci") -> TranscriptionRequest:
            request = TranscriptionRequest("speech", audio, caller=Caller(key=key))
            await there.transcribe(request)
            return request

        yield ask


def spoken(**usage: Any) -> tuple[int, str, bytes]:
    return 200, "application/json", json.dumps({"text": "Hi.", **({"usage": usage} if usage else {})}).encode()


KEY_BUDGET = Budgets((Budget(per="key", usd=Decimal("0.03")),))


async def test_a_budget_of_a_key_holds_for_speech_of_unknown_price(tmp_path: Path) -> None:
    # A minute at the ceiling is $0.024; what the vendor counts are 9 s, $0.0036. $0.03 − 2 · $0.0036 = $0.0228.
    vendor, records = Vendor([spoken(type="duration", seconds=9)] * 4), list[CallRecord]()
    with vendor.open() as url:
        async with transcribing(tmp_path, url, records, budgets=KEY_BUDGET) as ask:
            first = await ask()
            await ask()
            with pytest.raises(WindowSpent, match=r"could cost up to \$0\.0240.*has \$0\.0228 left"):
                await ask()
            await ask(key="other")
            await ask(wav(2))  # $0.0008 at most
    assert len(vendor.raw) == 4
    assert first.receipt.unpriced
    assert [(record.usage.unpriced, record.usage.cost_usd) for record in records] == [(1, Decimal(0))] * 4
    assert Decimal("0.024") == CEILING


async def test_models_of_unknown_price_can_be_refused(tmp_path: Path) -> None:
    vendor, records = Vendor([spoken()]), list[CallRecord]()
    with vendor.open() as url:
        async with transcribing(tmp_path, url, records, budgets=KEY_BUDGET, refuse_unpriced=True) as ask:
            with pytest.raises(BudgetExceeded, match="price is unknown"):
                await ask()
    assert not vendor.raw


async def test_what_the_reply_tells_is_booked_and_without_it_the_longest_that_it_can_be(tmp_path: Path) -> None:
    # $10 and $20 a million: a minute is 600 · 30 = $0.018 at most; 100 and 50 tokens are $0.002.
    price = {"input_usd_per_mtok": Decimal(10), "output_usd_per_mtok": Decimal(20)}
    told_tokens = spoken(type="tokens", input_tokens=100, output_tokens=50)
    vendor, records = Vendor([told_tokens, spoken(), (500, "application/json", b"{}")]), list[CallRecord]()
    ledger = Ledger(Limits())
    with vendor.open() as url:
        async with transcribing(tmp_path, url, records, price, budgets=KEY_BUDGET, ledger=ledger) as ask:
            first = await ask()
            second = await ask()
            with pytest.raises(BudgetExceeded):
                await ask()
            with pytest.raises(Exception, match="500"):
                await ask(wav(2))
    assert (first.receipt.cost_usd, second.receipt.cost_usd) == (Decimal("0.002"), Decimal("0.018"))
    assert not first.receipt.unpriced
    assert [(record.error, record.usage.cost_usd, record.usage.unpriced) for record in records] == [
        ("", Decimal("0.002"), 0), ("", Decimal("0.018"), 0), ("server", Decimal(0), 0),
    ]  # fmt: skip
    assert ledger.spent_today == Decimal("0.020")


async def test_a_recording_on_this_machine_costs_nothing(tmp_path: Path) -> None:
    vendor, records = Vendor([spoken()]), list[CallRecord]()
    with vendor.open() as url:
        empty = Budgets((Budget(per="all", usd=Decimal(0)),))
        async with transcribing(tmp_path, url, records, {"provider": ""}, budgets=empty) as ask:
            await ask()
    assert [(record.usage.unpriced, record.usage.cost_usd) for record in records] == [(0, Decimal(0))]


async def test_rates_of_a_key_hold_for_speech(tmp_path: Path) -> None:
    vendor, records = Vendor([spoken()] * 2), list[CallRecord]()
    throttle = Throttle((RateLimit(per="key", requests_per_minute=1),), clock=lambda: 1000.0)
    with vendor.open() as url:
        async with transcribing(tmp_path, url, records, throttle=throttle, patience_s=5.0) as ask:
            await ask()
            with pytest.raises(OwnLimit, match="1 requests a minute for key 'ci'"):
                await ask()
            await ask(key="other")
    assert len(vendor.raw) == 2


async def test_a_recording_whose_caller_goes_away_is_booked(tmp_path: Path) -> None:
    arrived, records = anyio.Event(), list[CallRecord]()

    async def silent(stream: SocketStream) -> None:
        async with stream:
            async for _ in stream:
                arrived.set()

    price = {"input_usd_per_mtok": Decimal(10), "output_usd_per_mtok": Decimal(20)}
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, silent)
        url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        ledger = Ledger(Limits())
        async with transcribing(tmp_path, url, records, price, budgets=KEY_BUDGET, ledger=ledger) as ask:
            async with anyio.create_task_group() as callers:
                callers.start_soon(ask)
                await arrived.wait()
                callers.cancel_scope.cancel()
            with pytest.raises(WindowSpent, match=r"has \$0\.0120 left"):
                await ask()
        tasks.cancel_scope.cancel()
    assert [(record.error, record.usage.cost_usd) for record in records] == [("cancelled", Decimal("0.018"))]
    assert ledger.spent_today == Decimal("0.018")


def test_clients_are_told_with_402_and_429(tmp_path: Path) -> None:
    vendor = Vendor([spoken(type="duration", seconds=9)])
    with vendor.open() as url:

        async def transcribe(request: TranscriptionRequest) -> Transcript:
            throttle = Throttle((RateLimit(per="key", concurrent=1),), clock=lambda: 1000.0)
            caller = Caller(key="ci")
            if request.filename == "late.mp3":
                await throttle.enter(throttle.gates(caller, "vendor", "speech"), 1, 0, lambda _: 1.0)
            more = {"budgets": KEY_BUDGET, "throttle": throttle, "patience_s": 0.0}
            async with transcribing(tmp_path, url, [], **more) as ask:
                await ask(request.audio)
            return Transcript(b"{}", "application/json")

        with (
            door(webtold(), transcribe=transcribe) as served,
            openai.OpenAI(base_url=served.v1, api_key="x", max_retries=0) as client,
        ):
            codes: list[int] = []
            for name, audio in (("a.mp3", bytes(200_000)), ("late.mp3", MP3), ("a.mp3", MP3)):
                try:
                    client.audio.transcriptions.create(model="speech", file=(name, audio))
                    codes.append(200)
                except openai.APIStatusError as error:
                    codes.append(error.status_code)
    assert codes == [402, 429, 200]
