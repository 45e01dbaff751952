"""Budgets shared through Redis by every process that shares a vendor's limit."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from random import Random

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from connectors.budget import Denied, Line, LocalBudgets, Priority, Scope, share_left
from connectors.clock import Clock

log = structlog.get_logger()

FALLBACK_SHARE = 0.1
"""What a process allows itself of each limit while Redis is away."""
LEASE_SECONDS = 120.0
"""An in-flight place is freed after this long even if its holder died; longer than any call may take."""
SCOPES = "scopes"
"""What the hash is called, after the prefix, that holds the limits of every scope somebody spends from."""
SCOPES_KEPT_SECONDS = 30 * 86400
"""After the last process began to spend from one."""
RECONNECT_SECONDS = 2.0
"""While Redis is away, how long a process goes without asking again."""

# One decision, on Redis' own clock. KEYS: the bucket (hash) and its in-flight leases (sorted set by expiry).
# ARGV: rate or 0, burst, cost, places or 0, lease id, lease seconds, priority, longest wait of the caller in seconds.
# Answers: milliseconds to wait, 0 for a granted turn. `waits<p>` marks until when somebody of priority p is known to
# wait, so that a process with only sweeps to do leaves the next turn to another one's write.
_TAKE = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local rate, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local places, priority, longest = tonumber(ARGV[4]), tonumber(ARGV[7]), tonumber(ARGV[8])
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'blocked', 'waits0', 'waits1')
local tokens, at = tonumber(kept[1]) or burst, tonumber(kept[2]) or now
local wait = math.max(0, (tonumber(kept[3]) or 0) - now)
if wait == 0 then
  for ahead = 0, priority - 1 do
    if (tonumber(kept[4 + ahead]) or 0) > now then wait = 0.1 end
  end
end
if wait == 0 and rate > 0 then
  tokens = math.min(burst, tokens + math.max(0, now - at) * rate)
  local missing = math.min(cost, burst) - tokens
  if missing > 1e-6 then wait = missing / rate end
end
if wait == 0 and places > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
  if redis.call('ZCARD', KEYS[2]) >= places then wait = 0.01 end
end
local kept_for = math.ceil(longest + 60 + (rate > 0 and burst / rate or 0))
if wait > 0 then
  if priority < 2 and wait <= longest then
    redis.call('HSET', KEYS[1], 'waits' .. priority, string.format('%.6f', now + wait * 1.2 + 0.2))
    if redis.call('TTL', KEYS[1]) < kept_for then redis.call('EXPIRE', KEYS[1], kept_for) end
  end
  return math.ceil(wait * 1000)
end
if priority < 2 then redis.call('HDEL', KEYS[1], 'waits' .. priority) end
if rate > 0 then
  redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', tokens - cost), 'at', string.format('%.6f', now))
  local empty_for = kept_for + math.ceil(cost / rate)
  if redis.call('TTL', KEYS[1]) < empty_for then redis.call('EXPIRE', KEYS[1], empty_for) end
end
if places > 0 then
  redis.call('ZADD', KEYS[2], string.format('%.6f', now + tonumber(ARGV[6])), ARGV[5])
  redis.call('EXPIRE', KEYS[2], math.ceil(tonumber(ARGV[6])) + 1)
end
return 0
"""

# KEYS: the bucket. ARGV: seconds. Never shortens a longer penalty.
_PENALISE = """
local time = redis.call('TIME')
local blocked_until = tonumber(time[1]) + tonumber(time[2]) / 1000000 + tonumber(ARGV[1])
if blocked_until > (tonumber(redis.call('HGET', KEYS[1], 'blocked')) or 0) then
  redis.call('HSET', KEYS[1], 'blocked', string.format('%.6f', blocked_until))
  local kept_for = math.ceil(tonumber(ARGV[1])) + 60
  if redis.call('TTL', KEYS[1]) < kept_for then redis.call('EXPIRE', KEYS[1], kept_for) end
end
return 0
"""


class RedisBudgets:
    """See `connectors.budget.Budgets`. Rates and places hold across processes, priority too.

    While Redis is unreachable each process keeps to a small fixed share of every limit (at least one place in flight),
    never none, never unlimited; one line is logged when Redis goes, and one when it is back.
    """

    def __init__(
        self,
        redis: Redis,
        clock: Clock,
        random: Random,
        *,
        max_wait_seconds: float = 30.0,
        prefix: str = "trueup:budget:",
    ) -> None:
        """`redis` should have short socket time-outs and no retries of its own; `from_url` sees to both."""
        self._redis = redis
        self._clock = clock
        self._random = random
        self._max_wait_seconds = max_wait_seconds
        self._prefix = prefix
        self._take = redis.register_script(_TAKE)
        self._penalise = redis.register_script(_PENALISE)
        self._fallback = LocalBudgets(clock, max_wait_seconds=max_wait_seconds)
        self._lines: dict[str, Line] = {}
        self._lock = threading.Lock()
        self._away_until: float | None = None

    @classmethod
    def from_url(cls, url: str, clock: Clock, random: Random, *, max_wait_seconds: float = 30.0) -> RedisBudgets:
        """Connects on first use."""
        redis = Redis.from_url(
            url, socket_timeout=1.0, socket_connect_timeout=1.0, socket_keepalive=True, retry=Retry(NoBackoff(), 0)
        )
        return cls(redis, clock, random, max_wait_seconds=max_wait_seconds)

    def spend(self, scope: Scope, *, priority: Priority, cost: float = 1.0) -> AbstractContextManager[None]:
        """See `Budgets.spend`."""
        return _SharedTurn(self, scope, priority, cost)

    def penalise(self, scope: Scope, seconds: float) -> None:
        """See `Budgets.penalise`. Also kept by this process alone, for as long as Redis may be away."""
        self._fallback.penalise(_share(scope), seconds)
        if self._reachable():
            try:
                self._penalise(keys=[self._key(scope)], args=[seconds])
            except RedisError as error:
                self._lost(error)

    def left(self) -> Mapping[str, float]:
        """See `Budgets.left`; of all processes together, whoever spends. Asks Redis twice."""
        if not self._reachable():
            return self._fallback.left()
        try:
            scopes = [_scope(*known) for known in self._redis.hgetall(self._prefix + SCOPES).items()]
            with self._redis.pipeline(transaction=False) as asked:
                asked.time()
                for scope in scopes:
                    asked.hmget(self._key(scope), "tokens", "at", "blocked")
                    asked.zcard(self._key(scope) + ":places")
                (seconds, microseconds), *answers = asked.execute()
        except RedisError as error:
            self._lost(error)
            return self._fallback.left()
        now = seconds + microseconds / 1_000_000
        return {
            scope.key: _left(scope, [float(value or 0) for value in kept], held, now)
            for scope, kept, held in zip(scopes, answers[::2], answers[1::2], strict=True)
        }

    def close(self) -> None:
        """Close the connections to Redis. Idempotent."""
        self._redis.close()

    def enter(self, scope: Scope, priority: Priority, cost: float) -> str | AbstractContextManager[None]:
        """One turn: the lease to give back to `leave`, or, while Redis is away, a turn of this process alone."""
        line = self._line(scope)
        lease = uuid.uuid4().hex
        local: list[AbstractContextManager[None]] = []

        def attempt() -> Denied | None:
            if self._reachable():
                try:
                    wait_ms = int(
                        self._take(keys=self._keys(scope), args=self._arguments(scope, priority, cost, lease))
                    )
                except RedisError as error:
                    self._lost(error)
                else:
                    self._found()
                    # Spread, so that the waiting processes do not all ask in the same instant.
                    return Denied(wait_ms / 1000 * self._random.uniform(1.0, 1.2)) if wait_ms else None
            local.append(self._fallback.spend(_share(scope), priority=priority, cost=cost))
            return None

        line.pass_through(priority, attempt)
        if not local:
            return lease
        local[0].__enter__()
        return local[0]

    def leave(self, scope: Scope, lease: str) -> None:
        """Give the in-flight place back; if Redis is away, its lease runs out by itself."""
        if scope.in_flight is None:
            return
        try:
            self._redis.zrem(self._key(scope) + ":places", lease)
        except RedisError as error:
            self._lost(error)

    def _arguments(self, scope: Scope, priority: Priority, cost: float, lease: str) -> list[float | str]:
        rate, places = scope.per_second or 0, scope.in_flight or 0
        return [rate, scope.burst, cost, places, lease, LEASE_SECONDS, int(priority), self._max_wait_seconds]

    def _line(self, scope: Scope) -> Line:
        line = self._lines.get(scope.key)
        if line is None:
            with self._lock:
                line = self._lines.setdefault(scope.key, Line(scope.key, self._clock, self._max_wait_seconds))
            self._make_known(scope)
        return line

    def _make_known(self, scope: Scope) -> None:
        """Tell the other processes of a scope that this one spends from."""
        if self._reachable():
            limits = json.dumps([scope.per_second, scope.burst, scope.in_flight])
            try:
                self._redis.hset(self._prefix + SCOPES, scope.key, limits)
                self._redis.expire(self._prefix + SCOPES, SCOPES_KEPT_SECONDS)
            except RedisError as error:
                self._lost(error)

    def _key(self, scope: Scope) -> str:
        # The braces keep both keys of a scope on one node of a cluster.
        return f"{self._prefix}{{{scope.key}}}"

    def _keys(self, scope: Scope) -> list[str]:
        key = self._key(scope)
        return [key, key + ":places"]

    def _reachable(self) -> bool:
        away_until = self._away_until
        return away_until is None or self._clock.monotonic() >= away_until

    def _lost(self, error: RedisError) -> None:
        with self._lock:
            first = self._away_until is None
            self._away_until = self._clock.monotonic() + RECONNECT_SECONDS
        if first:
            log.warning("budgets_redis_away", reason=type(error).__name__, share=FALLBACK_SHARE)

    def _found(self) -> None:
        if self._away_until is None:
            return
        with self._lock:
            back = self._away_until is not None
            self._away_until = None
        if back:
            log.info("budgets_redis_back")


class _SharedTurn(AbstractContextManager[None]):
    __slots__ = ("_budgets", "_cost", "_held", "_priority", "_scope")

    def __init__(self, budgets: RedisBudgets, scope: Scope, priority: Priority, cost: float) -> None:
        self._budgets = budgets
        self._scope = scope
        self._priority = priority
        self._cost = cost

    def __enter__(self) -> None:
        self._held = self._budgets.enter(self._scope, self._priority, self._cost)

    def __exit__(self, *raised: object) -> None:
        if isinstance(self._held, str):
            self._budgets.leave(self._scope, self._held)
        else:
            self._held.__exit__(None, None, None)


def _scope(key: bytes | str, limits: bytes | str) -> Scope:
    per_second, burst, in_flight = json.loads(limits)
    return Scope(key.decode() if isinstance(key, bytes) else key, per_second, burst, in_flight)


def _left(scope: Scope, kept: Sequence[float], in_flight: int, now: float) -> float:
    tokens, at, blocked = kept
    if blocked > now:
        return 0.0
    if not at:
        tokens = scope.burst
    elif scope.per_second is not None:
        tokens = min(float(scope.burst), tokens + max(0.0, now - at) * scope.per_second)
    return share_left(scope, tokens, in_flight)


def _share(scope: Scope) -> Scope:
    """What one process may use of a limit while nobody can count for all."""
    return replace(
        scope,
        per_second=None if scope.per_second is None else scope.per_second * FALLBACK_SHARE,
        burst=1,
        in_flight=None if scope.in_flight is None else max(1, int(scope.in_flight * FALLBACK_SHARE)),
    )
