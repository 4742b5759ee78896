"""Packets of an Omi put together: any loss, repetition, overtaking and wrap, against a model that knows what was sent."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

from hypothesis import assume, example, given
from hypothesis import strategies as st

from orchestra_mcp.edge.audio import codecs
from orchestra_mcp.edge.nouns import RATE, SAMPLE, Signal, Sound
from orchestra_mcp.edge.omi.assembler import LONGEST_GAP, WINDOW, Assembler, Gap
from orchestra_mcp.edge.omi.flow import Flow, Stillness
from orchestra_mcp.edge.omi.protocol import CODECS, Codec


def packet(number: int, payload: bytes, index: int = 0) -> bytes:
    return (number % 65536).to_bytes(2, "little") + bytes([index]) + payload


def everything(assembler: Assembler, packets: list[bytes]) -> list[bytes | Gap]:
    told = [piece for each in packets for piece in assembler.feed(each)]
    return told + assembler.flush()


def sound_of(number: int) -> bytes:
    """The only packet of a frame; no two are alike."""
    return b"frame" + number.to_bytes(4, "big")


# --------------------------------------------------------------------------------------------------------- the model


@dataclass
class Arrivals:
    """Which packets came, in which order; and what must become of them by the two rules that the module states."""

    order: list[int]

    def __post_init__(self) -> None:
        first = newest = self.order[0]
        self.used: set[int] = set()
        self.late = 0
        for at, number in enumerate(self.order):
            if at and number <= newest:
                self.late += 1
            if number >= first and number >= newest - WINDOW:
                self.used.add(number)
            newest = max(newest, number)
        self.span = range(first, newest + 1)

    def longest_gap(self) -> int:
        used = sorted(self.used)
        return max((after - before for before, after in itertools.pairwise(used)), default=0)

    def pieces(self) -> list[bytes | Gap]:
        """What is told when each packet is a frame."""
        told: list[bytes | Gap] = []
        for number in self.span:
            if number in self.used:
                told.append(sound_of(number))
            elif told and isinstance(told[-1], Gap):
                told[-1] = Gap(told[-1].frames + 1)
            else:
                told.append(Gap(1))
        return told


@st.composite
def arrivals(draw: st.DrawFn) -> Arrivals:
    """Packets that are lost, come twice, and overtake each other by a few places."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    drop, twice, far = (draw(st.sampled_from(steps)) for steps in ((0, 0.02, 0.2, 0.5), (0, 0.1), (0, 1, WINDOW, 8)))
    places: list[tuple[float, int]] = []
    for number in range(draw(st.integers(1, 300))):
        for _ in range(1 + (chance.random() < twice)):
            if chance.random() >= drop or number == 0:
                places += [(number + chance.uniform(0, far), number)]
    return Arrivals([number for _, number in sorted(places)])


@given(arrivals(), st.integers(0, 65535))
@example(Arrivals([0, 1, 2]), 65535)
def test_what_arrives_is_told_in_order_and_what_does_not_is_told_as_so_many_frames(came: Arrivals, start: int) -> None:
    assume(came.longest_gap() <= LONGEST_GAP)
    assembler = Assembler()
    told = everything(assembler, [packet(start + number, sound_of(number)) for number in came.order])
    assert told == came.pieces()
    counts = assembler.counts
    assert (counts.received, counts.late, counts.resyncs) == (len(came.used), came.late, 0)
    assert counts.lost == len(came.span) - len(came.used)


@given(arrivals(), st.integers(0, 65535), st.lists(st.integers(1, 59), min_size=1, max_size=7), st.integers(20, 40))
def test_of_frames_in_several_packets_those_that_came_whole_are_told_and_no_others(
    came: Arrivals, start: int, lengths: list[int], room: int
) -> None:
    # A frame whose last packet is full looks like one that goes on; none is made here. The device is heard well at first.
    sizes = [2 * room + 1] + [length if length % room else length + 1 for length in lengths]
    clean = 0
    frames: list[tuple[bytes, range]] = []
    packets: list[tuple[bytes, int]] = []
    for number in range(120):
        frame = number.to_bytes(2, "big") * 100
        frame = frame[: sizes[number % len(sizes)]]
        parts = [frame[at : at + room] for at in range(0, len(frame), room)]
        frames.append((frame, range(len(packets), len(packets) + len(parts))))
        packets += [(part, index) for index, part in enumerate(parts)]
        clean = clean or len(packets)
    order = list(range(clean)) + [clean + number for number in came.order if clean + number < len(packets)]
    truth = Arrivals(order)
    assume(truth.longest_gap() <= LONGEST_GAP)
    assembler = Assembler()
    told = everything(assembler, [packet(start + number, packets[number][0], packets[number][1]) for number in order])
    whole = [frame for frame, numbers in frames if all(number in truth.used for number in numbers)]
    assert [piece for piece in told if isinstance(piece, bytes)] == whole


@given(st.lists(st.binary(max_size=40), max_size=200))
@example([b"", b"\x00", b"\xff\xff\xff", b"\x00\x00\x00a", b"\x00\x80\x00b", b"\xff\x7f\x07c", b"\x00\x00\x01d"])
def test_no_bytes_raise_anything_and_every_packet_is_counted(packets: list[bytes]) -> None:
    assembler = Assembler(stale=3)
    told = everything(assembler, packets)
    counts = assembler.counts
    assert counts.received + counts.late + counts.malformed >= len(packets)
    assert counts.malformed == sum(len(each) <= 3 for each in packets)
    assert counts.frames == sum(isinstance(piece, bytes) for piece in told)
    assert all(piece.frames >= 1 for piece in told if isinstance(piece, Gap))


# ------------------------------------------------------------------------------------------------- single behaviours


def test_the_counter_wraps_and_nothing_is_missed() -> None:
    assembler = Assembler()
    told = everything(assembler, [packet(number, sound_of(number)) for number in range(65_530, 65_530 + 70_000)])
    assert told == [sound_of(number) for number in range(65_530, 65_530 + 70_000)]
    assert assembler.counts.lost == assembler.counts.late == 0


def test_a_frame_is_told_when_the_next_one_begins() -> None:
    assembler = Assembler()
    assert assembler.feed(packet(7, b"one ", 0)) == []
    assert assembler.feed(packet(8, b"two", 1)) == []
    assert assembler.feed(packet(9, b"next", 0)) == [b"one two"]


def test_in_the_ordinary_case_nothing_waits_and_after_a_gap_no_longer_than_the_window() -> None:
    assembler = Assembler()
    assembler.feed(packet(0, b"a"))
    assert assembler.feed(packet(1, b"b")) == [b"a"]
    # 2 is missing. It may still come until 2 + WINDOW is here; the packet after that one gives it up.
    waited = [assembler.feed(packet(2 + ahead, bytes([ahead]))) for ahead in range(1, WINDOW + 2)]
    assert waited[:WINDOW] == [[]] * WINDOW
    assert waited[WINDOW] == [b"b", Gap(1), *[bytes([ahead]) for ahead in range(1, WINDOW + 1)]]
    assert assembler.feed(packet(2, b"too late")) == []
    assert (assembler.counts.lost, assembler.counts.late) == (1, 1)


def test_a_gap_of_a_hundred_packets_is_silence_and_a_longer_one_a_new_beginning() -> None:
    short, long = Assembler(), Assembler()
    short.feed(packet(0, b"a"))
    long.feed(packet(0, b"a"))
    assert [*short.feed(packet(100, b"b")), *short.flush()] == [b"a", Gap(99), b"b"]
    assert (short.counts.lost, short.counts.resyncs) == (99, 0)
    assert [*long.feed(packet(LONGEST_GAP + 2, b"b")), *long.flush()] == [b"a", b"b"]
    assert (long.counts.lost, long.counts.resyncs) == (101, 1)


def test_a_counter_that_begins_again_is_followed() -> None:
    assembler = Assembler()
    told = everything(assembler, [packet(number, sound_of(number)) for number in (5_000, 5_001, 0, 1)])
    assert told == [sound_of(number) for number in (5_000, 5_001, 0, 1)]
    assert (assembler.counts.resyncs, assembler.counts.lost) == (1, 0)


def test_sound_from_before_a_subscription_is_thrown_away_after_each() -> None:
    assembler = Assembler(stale=32)
    for _ in range(2):
        told = everything(assembler, [packet(number, sound_of(number)) for number in range(40)])
        assert told == [sound_of(number) for number in range(32, 40)]
        assembler.restart()
    assert assembler.counts.stale == 64


def test_sound_that_was_lost_among_the_old_is_told_from_where_the_old_ends() -> None:
    assembler = Assembler(stale=32)
    told = everything(assembler, [packet(number, sound_of(number)) for number in (*range(30), 40)])
    assert told == [Gap(8), sound_of(40)]


def test_a_frame_whose_packets_do_not_fit_together_is_not_told() -> None:
    assembler = Assembler()
    told = everything(assembler, [packet(0, b"aa", 0), packet(1, b"cc", 2), packet(2, b"d", 0)])
    assert told == [Gap(2), b"d"]


def test_frames_of_two_packets_are_missed_as_one() -> None:
    assembler = Assembler()
    sent = [packet(2 * frame + part, b"x" * (20 - 5 * part), part) for frame in range(20) for part in range(2)]
    told = everything(assembler, sent[:20] + sent[21:])
    assert [piece for piece in told if isinstance(piece, Gap)] == [Gap(1)]
    assert len(told) == 20


# ----------------------------------------------------------------------------------------- the queue and the silence


class Plain:
    """A decoder of frames that are samples already."""

    def __init__(self, codec: Codec) -> None:
        self.codec: codecs.Codec = codec
        self.garbage = 0

    def decode(self, frame: bytes) -> bytes:
        return frame

    def lost(self, frames: int) -> bytes:
        return bytes(round(frames * self.codec.frame_s * RATE) * SAMPLE)

    def close(self) -> None:
        pass


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def flow(stale_s: float = 0.0, codec: int = 20) -> Flow:
    made = Flow(CODECS[codec], Plain(CODECS[codec]), stale_s, lambda: None)
    made.begin()
    return made


def drained(of: Flow) -> list[Sound]:
    sounds = []
    while of.waiting:
        sounds += of.drain()
    return sounds + of.finish()


def test_the_queue_holds_five_seconds_and_what_it_gives_up_is_counted_as_lost() -> None:
    queue = flow()
    for number in range(560):  # packets of 10 ms
        queue.put(packet(number, number.to_bytes(2, "big") * 160))
    queue.put(packet(560, b"\0\0" * 160))
    assert queue.waiting == 500
    sounds = drained(queue)
    assert sum(len(sound.pcm) for sound in sounds) == 500 * 320
    assert sounds[0].pcm[:2] == (61).to_bytes(2, "big")


def test_packets_lost_in_a_full_queue_are_in_the_report_of_the_reception() -> None:
    queue = flow()
    queue.put(packet(0, b"\0\0" * 160))
    queue.drain()
    for number in range(1, 551):
        queue.put(packet(number, b"\0\0" * 160))
    sounds = drained(queue)
    assert sum(len(sound.pcm) for sound in sounds if sound.lost) == 50 * 320
    reception = queue.reception()
    assert (reception.received, reception.lost, reception.late) == (501, 50, 0)
    assert queue.reception().received == 0


def test_no_sound_is_longer_than_a_second() -> None:
    queue = flow(codec=21)
    queue.put(packet(0, b"\1\1" * 320))
    queue.put(packet(99, b"\1\1" * 320))  # 98 frames of 20 ms are missing
    sounds = drained(queue)
    assert [len(sound.pcm) for sound in sounds if sound.lost] == [32_000, 98 * 640 - 32_000]


def test_what_comes_when_no_sound_is_wanted_is_not_kept() -> None:
    queue = flow()
    queue.put(packet(0, b"\1\1" * 160))
    queue.end()
    queue.put(packet(1, b"\1\1" * 160))
    assert drained(queue) == []


def test_dev_kits_old_sound_is_left_out_of_the_sound() -> None:
    queue = flow(stale_s=0.32)
    for number in range(50):
        queue.put(packet(number, b"\1\1" * 160))
    assert sum(len(sound.pcm) for sound in drained(queue)) == 18 * 320


def still() -> tuple[Stillness, Clock, list[Signal]]:
    told: list[Signal] = []
    clock = Clock()
    return Stillness(told.append, most_s=6, least_s=2, clock=clock), clock, told


def silent_seconds(told: list[Signal]) -> float:
    assert all(isinstance(signal, Sound) and not any(signal.pcm) for signal in told)
    return sum(len(signal.pcm) for signal in told if isinstance(signal, Sound)) / (RATE * SAMPLE)


def test_a_lost_link_is_filled_with_silence_when_sound_comes_again() -> None:
    stillness, clock, told = still()
    stillness.sound(clock.now)
    stillness.lose()
    clock.now += 1.5
    stillness.look()
    assert told == []
    stillness.sound(clock.now)
    assert silent_seconds(told) == 1.5
    assert all(isinstance(signal, Sound) and signal.lost for signal in told)


def test_the_silence_of_a_gap_is_bounded_and_told_once() -> None:
    stillness, clock, told = still()
    stillness.sound(clock.now)
    stillness.lose()
    for _ in range(40):
        clock.now += 0.5
        stillness.look()
    assert silent_seconds(told) == 6
    stillness.sound(clock.now)
    assert silent_seconds(told) == 6
    stillness.lose()
    clock.now += 100  # and nobody looked
    stillness.sound(clock.now)
    assert silent_seconds(told) == 12


def test_a_short_pause_of_a_link_that_holds_is_none_and_a_device_that_rests_loses_nothing() -> None:
    stillness, clock, told = still()
    stillness.rests = True
    stillness.sound(clock.now)
    clock.now += 1.9
    stillness.sound(clock.now)
    assert told == []
    clock.now += 3
    stillness.sound(clock.now)
    assert silent_seconds(told) == 3
    assert not any(isinstance(signal, Sound) and signal.lost for signal in told)


def test_a_pause_by_wish_is_no_gap() -> None:
    stillness, clock, told = still()
    stillness.sound(clock.now)
    stillness.forget()
    clock.now += 100
    stillness.look()
    stillness.sound(clock.now)
    assert told == []
