"""
The leader's part of a failover, state by state, with Sentinel's own events and delays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tests.simulation.watched import Watched

if TYPE_CHECKING:
    from tests.simulation.sentinels import Sentinel

__all__ = ["Failover"]

State = Literal["wait-start", "select", "send", "wait-promotion", "reconfigure"]

DESYNC = 1.0
RECONFIGURING = 1.0
"""Seconds until a reconfigured replica is seen to follow: the INFO after the next."""


class Failover:
    """
    What a sentinel does once it has decided to replace the master.
    """

    def __init__(self, sentinel: Sentinel) -> None:
        self.state: State | None = None
        self.started_at = -1e9
        self.promoted: Watched | None = None
        self._sentinel = sentinel
        self._epoch = 0
        self._forced = False
        self._votes: set[Sentinel] = set()
        self._candidate: Watched | None = None
        self._state_since = 0.0

    def reset(self) -> None:
        """
        Forgets it.
        """
        self.state = self.promoted = self._candidate = None

    def force(self) -> bool:
        """
        SENTINEL FAILOVER: without anybody's agreement; False where one is under way already.
        """
        if self.state is not None or self._select() is None:
            return False
        self._start(forced=True)
        return True

    def tick(self, now: float) -> None:
        """
        One step, if it is time for it.
        """
        sentinel = self._sentinel
        match self.state:
            case None:
                waited = now - self.started_at >= 2 * sentinel.options.failover_timeout
                if sentinel.objectively_down and waited:
                    self._start(forced=False)
            case "wait-start":
                self._count_votes(now)
            case "select":
                self._choose(now)
            case "send":
                self._send(now)
            case "wait-promotion":
                self._wait_for_promotion(now)
            case "reconfigure":
                self._reconfigure(now)

    def _move(self, state: State) -> None:
        self.state = state
        self._state_since = self._sentinel.now()

    def _tell(self, event: str, watched: Watched | None = None) -> None:
        about = self._sentinel.about(watched or self._sentinel.master)
        self._sentinel.publish(event, about)

    def _abort(self, event: str) -> None:
        self._tell(event, self._candidate if event.endswith("timeout") else None)
        self.reset()

    def _start(self, *, forced: bool) -> None:
        sentinel = self._sentinel
        sentinel.current_epoch += 1
        self._epoch = sentinel.current_epoch
        self._forced = forced
        self._votes = set()
        self.started_at = sentinel.now() + sentinel.random.random() * DESYNC
        sentinel.publish("+new-epoch", str(self._epoch))
        self._tell("+try-failover")
        self._move("wait-start")
        if forced:
            sentinel.say_hello()
        else:
            self._collect(sentinel)
            for peer in sentinel.peers:
                if sentinel.reaches(peer):
                    sentinel.network.loop.call_later(
                        sentinel.network.latency(), self._ask, peer, self._epoch
                    )

    def _ask(self, peer: Sentinel, epoch: int) -> None:
        sentinel = self._sentinel
        if sentinel.reaches(peer) and self.state == "wait-start" and self._epoch == epoch:
            self._collect(peer)

    def _collect(self, voter: Sentinel) -> None:
        leader, epoch = voter.vote(self._sentinel, self._epoch)
        if leader is self._sentinel and epoch == self._epoch:
            self._votes.add(voter)

    def _count_votes(self, now: float) -> None:
        sentinel = self._sentinel
        needed = max((len(sentinel.peers) + 1) // 2 + 1, sentinel.options.quorum)
        if self._forced or len(self._votes) >= needed:
            self._tell("+elected-leader")
            self._tell("+failover-state-select-slave")
            self._move("select")
        elif now - self._state_since > min(10.0, sentinel.options.failover_timeout):
            self._abort("-failover-abort-not-elected")

    def _select(self) -> Watched | None:
        replicas = self._sentinel.replicas.values()
        able = [each for each in replicas if each.connected and not each.down]
        return max(able, key=lambda each: len(each.server.history), default=None)

    def _choose(self, now: float) -> None:
        if now - self._state_since < 0.05:
            return
        self._candidate = self._select()
        if self._candidate is None:
            self._abort("-failover-abort-no-good-slave")
            return
        self._tell("+selected-slave", self._candidate)
        self._tell("+failover-state-send-slaveof-noone", self._candidate)
        self._move("send")

    def _send(self, now: float) -> None:
        candidate = self._candidate
        assert candidate is not None
        if candidate.connected:
            self._sentinel.order(candidate, None)
            self._tell("+failover-state-wait-promotion", candidate)
            self._move("wait-promotion")
        elif now - self._state_since > self._sentinel.options.failover_timeout:
            self._abort("-failover-abort-slave-timeout")

    def _wait_for_promotion(self, now: float) -> None:
        candidate, sentinel = self._candidate, self._sentinel
        assert candidate is not None
        if candidate.connected and candidate.reports == "master":
            self.promoted = candidate
            sentinel.config_epoch = self._epoch
            self._tell("+promoted-slave", candidate)
            self._tell("+failover-state-reconf-slaves")
            self._move("reconfigure")
            sentinel.say_hello()
        elif now - self._state_since > sentinel.options.failover_timeout:
            self._abort("-failover-abort-slave-timeout")

    def _reconfigure(self, now: float) -> None:
        sentinel, promoted = self._sentinel, self.promoted
        assert promoted is not None
        others = [each for each in sentinel.replicas.values() if each is not promoted]
        for each in others:
            if not each.reconfigured and each.connected and not each.down:
                each.reconfigured = "sent"
                sentinel.order(each, promoted)
                self._tell("+slave-reconf-sent", each)
            elif each.reconfigured == "sent" and now - self._state_since > RECONFIGURING * 0.9:
                each.reconfigured = "done"
                self._tell("+slave-reconf-inprog", each)
                self._tell("+slave-reconf-done", each)
        waited = now - self._state_since
        done = all(each.reconfigured == "done" or each.down for each in others)
        if (done and waited > RECONFIGURING) or waited > sentinel.options.failover_timeout:
            self._tell("+failover-end")
            sentinel.switch(promoted.server)
