-- The tables of design 6.1. Times are microseconds since 1970. Payload columns hold JSON text, or the number of a
-- payload row when the text is long: then a turn that does not touch the value does not write it again.

CREATE TABLE hub (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    schema INTEGER NOT NULL,
    min_reader INTEGER NOT NULL,
    min_writer INTEGER NOT NULL,
    counter INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE host (
    token INTEGER PRIMARY KEY AUTOINCREMENT,
    hub INTEGER NOT NULL,
    beat INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0,
    swept INTEGER NOT NULL DEFAULT 0,
    number INTEGER NOT NULL DEFAULT 0,
    answer BLOB,
    address TEXT NOT NULL,
    instance_id TEXT NOT NULL,
    names TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    ttl REAL NOT NULL,
    wakes INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX host_living ON host (hub, token) WHERE dead = 0;
CREATE INDEX host_unswept ON host (token) WHERE dead = 1 AND swept = 0;

CREATE TABLE instance (
    n INTEGER PRIMARY KEY,
    hub INTEGER NOT NULL,
    id TEXT NOT NULL,
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    generation INTEGER NOT NULL DEFAULT 0,
    turn INTEGER NOT NULL DEFAULT 0,
    status INTEGER NOT NULL,
    owner INTEGER NOT NULL DEFAULT 0,
    ready INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0,
    first_turn INTEGER NOT NULL DEFAULT 0,
    cursor INTEGER NOT NULL DEFAULT 0,
    suspect INTEGER NOT NULL DEFAULT 0,
    parked TEXT,
    lock_holder INTEGER NOT NULL DEFAULT 0,
    parent_n INTEGER NOT NULL DEFAULT 0,
    parent_generation INTEGER NOT NULL DEFAULT 0,
    parent_task INTEGER NOT NULL DEFAULT -1,
    parent_id TEXT,
    created INTEGER NOT NULL,
    started INTEGER NOT NULL DEFAULT 0,
    updated INTEGER NOT NULL,
    completed INTEGER NOT NULL DEFAULT 0,
    tags TEXT,
    input,
    output,
    custom_status,
    state
);
CREATE UNIQUE INDEX instance_id ON instance (hub, id);
CREATE INDEX instance_created ON instance (hub, created, n);
CREATE INDEX instance_status ON instance (hub, status, n);
-- what has something to do, by who owns it: nobody (0), or a host that may have died meanwhile
CREATE INDEX instance_ready ON instance (hub, owner, not_before) WHERE ready = 1;

-- format 1: body is the turn's events as a JSON array. Format 2: they hold long values; body is then the same array
-- without these, for the views, and packed the whole array, compressed by zlib.
CREATE TABLE history (
    n INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    format INTEGER NOT NULL,
    flags INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL,
    packed BLOB,
    PRIMARY KEY (n, generation, turn)
) WITHOUT ROWID;

-- lane 0: the queue, 1: kept back until due. seq below zero: ahead of the queue. held: the instance is suspended or
-- parked. control: 1 reaches a suspended or parked instance, 2 a finished one too. A blob as body is compressed.
CREATE TABLE inbox (
    n INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hub INTEGER NOT NULL,
    kind TEXT NOT NULL,
    control INTEGER NOT NULL DEFAULT 0,
    generation INTEGER NOT NULL,
    task INTEGER NOT NULL,
    due INTEGER NOT NULL DEFAULT 0,
    held INTEGER NOT NULL DEFAULT 0,
    body NOT NULL,
    PRIMARY KEY (n, lane, seq)
) WITHOUT ROWID;
CREATE INDEX inbox_due ON inbox (hub, due, seq) WHERE lane = 1 AND held = 0;

-- owner 0: unclaimed. A blob as input is compressed.
CREATE TABLE work (
    n INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    task INTEGER NOT NULL,
    hub INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    function TEXT NOT NULL,
    input,
    owner INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 1,
    suspect INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0,
    scheduled INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (n, generation, task)
) WITHOUT ROWID;
CREATE INDEX work_unclaimed ON work (hub, seq) WHERE owner = 0;

CREATE TABLE attempt (
    n INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    task INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    scheduled INTEGER NOT NULL,
    started INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    host INTEGER NOT NULL,
    worker TEXT NOT NULL,
    failure TEXT,
    PRIMARY KEY (n, generation, task, attempt)
) WITHOUT ROWID;

CREATE TABLE setting (
    hub INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (hub, kind, key)
) WITHOUT ROWID;

-- format 1: body is the text. Format 2: its UTF-8 bytes, compressed by zlib.
CREATE TABLE payload (
    number INTEGER PRIMARY KEY,
    n INTEGER NOT NULL,
    format INTEGER NOT NULL,
    body NOT NULL
);
CREATE INDEX payload_owner ON payload (n);

CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    hub INTEGER NOT NULL,
    n INTEGER NOT NULL,
    instance_id TEXT NOT NULL,
    time INTEGER NOT NULL,
    operation TEXT NOT NULL,
    who TEXT,
    reason TEXT
);
CREATE INDEX audit_instance ON audit (n);

-- one row per commit, at least the latest thousand: which instances it changed
CREATE TABLE change (
    number INTEGER PRIMARY KEY,
    hub INTEGER NOT NULL,
    host INTEGER NOT NULL,
    time INTEGER NOT NULL,
    instances TEXT NOT NULL
);
