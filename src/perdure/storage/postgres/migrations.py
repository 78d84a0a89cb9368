"""The schema: made, brought forward while older hosts are up, and the functions of this release beside theirs.

A migration has two steps. *Before* adds what this release needs and leaves everything as older hosts know it; it is
applied by the first host of the release. *After* takes away what nobody needs any more, once no host of an older
schema is alive. Functions are named by a tag of their text, so releases do not meet.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Any

import asyncpg

from perdure.storage.postgres.errors import StoreUnusable

#: the schema that this release writes
SCHEMA = 3
#: the views that this release knows; a later release's stay as they are
VIEWS = 2
_OLDEST_SERVER = 130000
#: advisory lock of whoever changes the schema
_LOCK = 1885693028
#: microseconds for which functions of other releases stay although no host uses them
_KEPT = 3600 * 1_000_000
_PLAN = (
    "SET search_path = {schema}, pg_temp SET enable_seqscan = off SET enable_hashjoin = off "
    "SET enable_mergejoin = off SET random_page_cost = 1 SET cpu_tuple_cost = 1 SET jit = off "
    "SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = force_generic_plan SET lock_timeout = '5s'"
)
#: what stands for settings and conditions that several functions share
_MARKS = {
    "@walk@": "@plan@ SET enable_sort = off SET enable_bitmapscan = off",
    "@plan@": _PLAN,
    "@matching@": "(p_name IS NULL OR starts_with(i.name, p_name)) AND (p_parent IS NULL OR i.parent_id = p_parent) "
    "AND (p_kinds IS NULL OR i.kind = ANY (p_kinds)) AND (p_tags IS NULL OR i.tags::jsonb @> p_tags)",
}


def quoted(name: str) -> str:
    """A name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


@cache
def _text(name: str) -> str:
    return resources.files(__package__).joinpath("sql").joinpath(name).read_text(encoding="utf-8")


@cache
def tag() -> str:
    """What the names of this release's functions end in."""
    return "_" + hashlib.sha256(_functions("", "").encode()).hexdigest()[:8]


def _functions(schema: str, ending: str) -> str:
    """The text that makes the functions of this release in a schema."""
    text = _text("functions.sql")
    for mark, meaning in _MARKS.items():
        text = text.replace(mark, meaning)
    return text.replace("{schema}", schema).replace("@(", f"{ending}(")


def _step(number: int, step: str) -> str | None:
    try:
        return _text(f"{number:04}_{step}.sql")
    except FileNotFoundError:
        return None


async def prepare(connection: Any, schema: str, hub_name: str) -> int:
    """Bring the schema forward, and return the number of the hub. Raises `StoreUnusable`."""
    version = connection.get_server_version()
    if version.major < _OLDEST_SERVER // 10000:
        raise StoreUnusable(f"The PostgreSQL server is version {version.major}; perdure needs 13 or later.")
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '60s'; SELECT pg_advisory_xact_lock({_LOCK})")
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", schema):
                await connection.execute(f"CREATE SCHEMA {quoted(schema)}")
            await connection.execute(f"SET LOCAL search_path = {quoted(schema)}, pg_temp")
            await _bring_forward(connection, schema)
            await _install(connection, schema)
            await _show(connection)
        except asyncpg.InsufficientPrivilegeError as problem:
            raise StoreUnusable(
                f"The database user may not make the schema '{schema}' ({problem}). Give it the right once: GRANT "
                f"CREATE ON DATABASE ... TO user, or CREATE SCHEMA {schema} AUTHORIZATION user."
            ) from None
        return await hub(connection, hub_name)


async def _bring_forward(connection: Any, schema: str) -> None:
    await _table(connection, "migration", "number integer PRIMARY KEY, after_done boolean NOT NULL")
    done = dict(await connection.fetch("SELECT number, after_done FROM migration"))
    await _check(connection, schema, done)
    for number in range(1, SCHEMA + 1):
        if number not in done:
            await connection.execute(_step(number, "before") or "")
            await connection.execute("INSERT INTO migration VALUES ($1, $2)", number, _step(number, "after") is None)
    for number in sorted(number for number, after_done in done.items() if not after_done and number <= SCHEMA):
        older = await connection.fetchval("SELECT count(*) FROM host WHERE NOT dead AND schema < $1", number)
        if older:
            break
        # what is taken away may be shown
        await connection.execute("DROP VIEW IF EXISTS HistoryEvents, Instances")
        await connection.execute(_step(number, "after") or "")
        await connection.execute("UPDATE migration SET after_done = true WHERE number = $1", number)
        await connection.execute("UPDATE hub SET min_writer = greatest(min_writer, $1)", number)


async def _table(connection: Any, name: str, columns: str) -> None:
    # asked first: who may not make tables may still use them
    if not await connection.fetchval("SELECT to_regclass($1)", name):
        await connection.execute(f"CREATE TABLE {name} ({columns})")


async def _check(connection: Any, schema: str, done: dict[int, bool]) -> None:
    if not done:
        return
    least = await connection.fetchval("SELECT max(min_writer) FROM hub")
    if least is not None and least > SCHEMA:
        raise StoreUnusable(
            f"The schema '{schema}' was brought to version {least} by a newer perdure; this one writes version "
            f"{SCHEMA}. Install the newer release, or use another schema."
        )


async def _install(connection: Any, schema: str) -> None:
    """The functions of this release; those of releases that no living host uses are dropped."""
    await _table(connection, "release", "tag text PRIMARY KEY, used bigint NOT NULL")
    mine = tag()
    if not await connection.fetchval("SELECT 1 FROM release WHERE tag = $1", mine):
        await connection.execute(_functions(quoted(schema), mine))
    await connection.execute(
        "INSERT INTO release VALUES ($1, now_us()) ON CONFLICT (tag) DO UPDATE SET used = excluded.used", mine
    )
    gone = await connection.fetch(
        "DELETE FROM release r WHERE tag <> $1 AND used < now_us() - $2::bigint "
        "AND NOT EXISTS (SELECT 1 FROM host h WHERE NOT h.dead AND h.functions = r.tag) RETURNING tag",
        mine,
        _KEPT,
    )
    for row in gone:
        names = await connection.fetch(
            "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace s ON s.oid = p.pronamespace "
            "WHERE s.nspname = $1 AND right(p.proname, length($2)) = $2",
            schema,
            row[0],
        )
        for (name,) in names:
            await connection.execute(f"DROP FUNCTION {name}")


async def _show(connection: Any) -> None:
    """The views that people read, unless they are there as this release or a later one makes them."""
    known = await connection.fetchval("SELECT obj_description(to_regclass('Instances'), 'pg_class')")
    if int(known or 0) < VIEWS:
        await connection.execute(f"{_text('views.sql')}; COMMENT ON VIEW Instances IS '{VIEWS}'")


async def hub(connection: Any, name: str) -> int:
    """The number of a hub, which is made when it is not there; inside a transaction it is not deleted before that
    ends. Upper and lower case are one."""
    wanted = (
        'SELECT number FROM hub WHERE lower(name) = lower($1::text COLLATE "C") ORDER BY name = $1::text DESC LIMIT 1 '
        "FOR KEY SHARE"
    )
    add = (
        "INSERT INTO hub (name, schema, min_reader, min_writer) "
        "SELECT $1, $2, coalesce(max(min_reader), 1), coalesce(max(min_writer), 1) FROM hub "
        "ON CONFLICT (name) DO NOTHING RETURNING number"
    )
    while True:
        number = await connection.fetchval(wanted, name)
        if number is None:
            number = await connection.fetchval(add, name, SCHEMA)
        if number is not None:
            return int(number)
