"""Faders of a control surface: the law, Mackie Control, and what goes back to the motors."""

import math
from collections.abc import Iterator
from typing import Any

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mido import Message

from tests.plugins.jack_server import dummy_server, until
from unstir.errors import SettingsError, UnknownNameError
from unstir.plugins.automation import fader_db
from unstir.plugins.live import LiveMixer
from unstir.plugins.rack import StemRack
from unstir.plugins.strips import Strip
from unstir.plugins.surface import Surface, connected, fader_position, position_db

JACK = "mido.backends.rtmidi/UNIX_JACK"


def surface(controllers: tuple[int, ...] = ()) -> Surface:
    return Surface({"speech": -3.0, "music": 0.0, "effects": -math.inf}, controllers)


def volume(value: int, channel: int = 0, control: int = 7) -> Message:
    return Message("control_change", channel=channel, control=control, value=value)


def bend(position: int, channel: int = 0) -> Message:
    """Return what a Mackie fader sends, 0 to 16383."""
    return Message("pitchwheel", channel=channel, pitch=position - 8192)


def test_the_steps_of_a_controller_have_the_gains_of_automation() -> None:
    assert [position_db(value) for value in range(128)] == [fader_db(v) for v in range(128)]


@given(st.floats(0, 127), st.floats(0, 127))
def test_a_higher_fader_is_never_softer(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert position_db(low) <= position_db(high)


@given(st.integers(0, 16383))
def test_a_fader_that_is_sent_its_own_gain_stays_within_half_a_step(position: int) -> None:
    gain_db = position_db(position / 129)
    found = round(fader_position(gain_db) * 129)
    assert abs(found - position) <= (129 if gain_db == -math.inf else 65)
    if gain_db not in (0.0, -math.inf):
        assert abs(found - position) <= 1


@pytest.mark.parametrize(
    ("message", "stem", "gain_db"),
    [
        (volume(0), "speech", -math.inf),
        (volume(64), "speech", -21.6),
        (volume(127), "speech", 6.0),
        (volume(100, channel=2), "effects", 0.0),
        (bend(0), "speech", -math.inf),
        (bend(16383, channel=1), "music", 6.0),
        (bend(12900), "speech", 0.0),
        (bend(12950), "speech", 0.0),  # half a step at most from the detent
        (bend(64 * 129, channel=1), "music", -21.6),
        (bend(64 * 129 + 43, channel=1), "music", -21.4),
    ],
)
def test_a_fader_moves_its_stem_and_is_sent_back_what_it_sent(
    message: Any, stem: str, gain_db: float
) -> None:
    board = surface()
    before = dict(board.gains_db)
    assert board.receive(message) == message
    assert board.gains_db[stem] == pytest.approx(gain_db)
    assert {n: g for n, g in board.gains_db.items() if n != stem} == {
        n: g for n, g in before.items() if n != stem
    }


@pytest.mark.parametrize(
    "message",
    [
        Message("note_on", channel=0, note=104, velocity=127),  # the touch of a Mackie fader
        Message("note_on", channel=0, note=104, velocity=0),
        Message("note_on", channel=0, note=19, velocity=127),  # mute of a fourth stem
        Message("note_on", channel=0, note=0, velocity=127),  # record
        volume(10, control=1),
        volume(10, channel=3),
        bend(10, channel=15),
        Message("aftertouch", value=3),
        Message("sysex", data=(1, 2, 3)),
        Message("clock"),
    ],
    ids=str,
)
def test_what_is_no_fader_of_a_stem_changes_nothing(message: Any) -> None:
    board = surface()
    assert board.receive(message) is None
    assert board == surface()


def test_a_message_that_comes_back_is_not_answered_again() -> None:
    board = surface()
    assert board.receive(volume(64)) is not None
    assert board.receive(volume(64)) is None


def test_chosen_controllers_move_the_stems_in_order_on_any_channel() -> None:
    board = surface((21, 7))
    board.receive(volume(127, control=21, channel=9))
    board.receive(volume(0, control=7, channel=2))
    assert board.receive(volume(0, control=1)) is None
    assert board.gains_db == {"speech": 6.0, "music": -math.inf, "effects": -math.inf}


def test_the_greeting_puts_every_fader_where_its_gain_is() -> None:
    for controllers in ((), (3, 4, 5)):
        board = surface(controllers)
        greeting = board.greeting()
        kinds = ["control_change", "pitchwheel"] * 3 + ["note_on"] * 6
        assert [m.type for m in greeting] == kinds
        other = Surface(dict.fromkeys(board.gains_db, 5.0), controllers)
        for message in greeting:
            other.receive(message)
        assert other.gains_db == pytest.approx(board.gains_db, abs=0.01)


def test_a_gain_above_the_fader_puts_it_to_the_top_and_stays_until_it_is_moved() -> None:
    board = Surface({"speech": 20.0})
    assert board.greeting()[0] == volume(127)
    assert board.gains_db == {"speech": 20.0}


def press(note: int, velocity: int = 127) -> Message:
    return Message("note_on", note=note, velocity=velocity)


@pytest.mark.parametrize(("first", "which"), [(16, "muted"), (8, "soloed")])
def test_a_button_switches_when_it_is_pressed_and_its_light_tells(first: int, which: str) -> None:
    board = surface()
    assert board.receive(press(first + 1)) == press(first + 1, 127)
    assert board.receive(press(first + 1, 0)) is None  # let go
    assert board.receive(Message("note_off", note=first + 1)) is None
    assert getattr(board, which) == {"music"}
    assert press(first + 1, 127) in board.greeting()
    assert press(first, 0) in board.greeting()
    assert board.receive(press(first + 1)) == press(first + 1, 0)
    assert board == surface()


def test_buttons_do_what_the_mutes_and_solos_of_a_rack_do() -> None:
    rng = np.random.default_rng(0)
    sound = {
        name: rng.uniform(-0.3, 0.3, (1, 4096)).astype(np.float32) for name in surface().gains_db
    }
    gains_db = dict.fromkeys(sound, -3.0)
    mixer = LiveMixer(StemRack({"effects": Strip(mute=True)}), gains_db, 48000, 1)
    board = Surface(gains_db, (), mixer.muted, mixer.soloed)
    for notes, strips in (
        ((), {"effects": Strip(gain_db=-3, mute=True)}),
        ((18, 16), {"speech": Strip(gain_db=-3, mute=True)}),
        ((16, 9), {"music": Strip(gain_db=-3, solo=True)}),
        ((8,), {n: Strip(gain_db=-3, solo=True) for n in ("speech", "music")}),
    ):
        for note in notes:
            board.receive(press(note))
        found = [mixer.process(sound) for _ in range(2)][1]  # after the ramp
        rack = StemRack({**dict.fromkeys(sound, Strip(gain_db=-3)), **strips})
        np.testing.assert_array_equal(found, rack(sound, 48000))


@pytest.mark.parametrize("controllers", [(128,), (-1,), (3, 3)])
def test_controllers_out_of_range_or_twice_are_refused(controllers: tuple[int, ...]) -> None:
    with pytest.raises(SettingsError, match="from 0 to 127 that differ"):
        surface(controllers)


def test_a_fader_is_heard_in_the_next_block() -> None:
    gains_db = {"speech": 0.0}
    mixer, board = LiveMixer(StemRack(), gains_db, 48000, 1), Surface(gains_db)
    ones = {"speech": np.ones((1, mixer.block_size), np.float32)}
    assert mixer.process(ones)[0, -1] == 1
    board.receive(bend(0))
    assert mixer.process(ones)[0, -1] == 0
    assert not mixer.process(ones).any()


# Over real ports, of a JACK server without a sound card.


@pytest.fixture(scope="module")
def backend() -> Iterator[Any]:
    pytest.importorskip("rtmidi", exc_type=ImportError)
    with dummy_server(48000, 1024):
        yield mido.Backend(JACK)


def test_faders_move_gains_over_real_ports_and_are_sent_back(backend: Any) -> None:
    board = surface()
    back: list[Any] = []
    with (
        backend.open_input("console", virtual=True, callback=back.append),
        backend.open_output("console", virtual=True) as faders,
        connected(board, "CONSOLE") as answers,
    ):
        assert answers
        # A server that is late may give what came twice, so messages are not counted.
        until(lambda: all(message in back for message in board.greeting()))
        for message, stem, gain_db in (
            (volume(64), "speech", -21.6),
            (volume(127, channel=1), "music", 6.0),
            (volume(0), "speech", -math.inf),
            (bend(64 * 129, channel=2), "effects", -21.6),
        ):
            back.clear()
            # As above: sent until it is answered, which it is once.
            until(lambda: faders.send(message) or message in back)  # noqa: B023 - until has waited
            assert board.gains_db[stem] == pytest.approx(gain_db)


def test_a_virtual_port_is_there_for_others_to_connect_to(backend: Any) -> None:
    board = surface()
    with (
        connected(board, "virtual"),
        backend.open_output(next(n for n in backend.get_output_names() if "unstir" in n)) as out,
    ):
        until(lambda: out.send(volume(100)) or board.gains_db["speech"] == 0.0)


def test_a_port_that_is_not_there_is_refused_with_those_that_are(backend: Any) -> None:
    with (
        backend.open_output("console", virtual=True),
        pytest.raises(UnknownNameError, match=r"no MIDI port 'x-touch'; there are: .*console"),
        connected(surface(), "x-touch"),
    ):
        pass
