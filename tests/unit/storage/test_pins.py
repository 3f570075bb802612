import random
import threading
from pathlib import Path

from cooper_gateway.storage.pins import Pins

OBJECT = b"object id"


def test_a_pin_is_seen_until_its_last_holder_is_done(tmp_path: Path) -> None:
    mine, others = Pins(str(tmp_path)), Pins(str(tmp_path))
    mine.prepare()
    assert not others.held(OBJECT)
    first, second = mine.take(OBJECT), others.take(OBJECT)
    mine.release(OBJECT, first)
    assert mine.held(OBJECT)
    assert not mine.held(b"another")
    others.release(OBJECT, second)
    assert not mine.held(OBJECT)
    assert not list(tmp_path.rglob("readers/*"))


def test_no_pin_is_lost_among_many_that_come_and_go(tmp_path: Path) -> None:
    pins = Pins(str(tmp_path))
    pins.prepare()
    overlooked: list[int] = []

    def read(seed: int) -> None:
        chance = random.Random(seed)
        for turn in range(400):
            pin = pins.take(OBJECT)
            if chance.random() < 0.5 and not pins.held(OBJECT):
                overlooked.append(turn)
            pins.release(OBJECT, pin)

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert not overlooked
    assert not pins.held(OBJECT)
