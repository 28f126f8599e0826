"""The collector of reference cycles is paused where graphs are worked on, and never stays off."""

import gc
import os
import threading

import numpy as np
import pytest

import graphnn as gn
from graphnn.ir.collector import without_collector


@pytest.fixture(autouse=True)
def on():
    assert gc.isenabled()
    yield
    gc.enable()


def test_it_goes_on_after_an_error():
    @without_collector
    def fails():
        assert not gc.isenabled()
        raise ValueError

    with pytest.raises(ValueError):
        fails()
    assert gc.isenabled()


def test_who_has_switched_it_off_finds_it_off():
    gc.disable()
    assert not without_collector(gc.isenabled)()
    assert not gc.isenabled()


def test_it_is_paused_while_updates_are_made():
    seen = []

    def rate(step):
        seen.append(gc.isenabled())
        return 0.1 + 0 * step

    w = gn.parameter("w", np.ones(3))
    gn.optim.SGD(rate).updates(gn.sum(w * w))
    assert seen == [False]
    assert gc.isenabled()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_goes_on_in_a_child_of_a_process_that_had_paused_it():
    inside, done = threading.Event(), threading.Event()

    @without_collector
    def work():
        inside.set()
        done.wait(30)

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait(30)
    child = os.fork()
    if child == 0:
        os._exit(0 if gc.isenabled() else 1)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert gc.isenabled()
