from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from segsweep.tracking import Terminated, interruptible
from segsweep.tracking.signals import shielded


def test_sigterm_becomes_an_exception_and_the_old_handler_returns() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated, match="terminated by SIGTERM") as caught, interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_only_the_first_signal_raises() -> None:
    ended = False
    with pytest.raises(Terminated), interruptible():  # noqa: PT012
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            ended = True
    assert ended


def test_a_shield_puts_ctrl_c_off_until_its_end() -> None:
    finished = False
    with pytest.raises(KeyboardInterrupt), shielded():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        finished = True
    assert finished


def test_a_second_ctrl_c_breaks_the_shield() -> None:
    finished = False
    with pytest.raises(KeyboardInterrupt), shielded():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        finished = True
    assert not finished


def test_other_threads_change_no_handlers() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def work() -> None:
        with interruptible(), shielded():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_forked_child_dies_of_the_signal_without_running_the_parents_code() -> None:
    code = """
import os, signal, time
from segsweep.tracking import interruptible
with interruptible():
    child = os.fork()
    if child == 0:
        try:
            time.sleep(30)
        finally:
            print("the child ran code of its parent", flush=True)
            os._exit(0)
    time.sleep(0.2)
    os.kill(child, signal.SIGTERM)
    print(-os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "15"
